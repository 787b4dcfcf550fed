"""PostgreSQL's pool with nothing left in it: a settling turn keeps its two seconds, a caller is told to come again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError, connection

from floway.durability import waiting_at_most
from responses_app.models import Exchange
from tests.conftest import Gateway

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no pool"),
]


@pytest.fixture
def nothing_left() -> Iterator[None]:
    pool: Any = connection.pool  # type: ignore[attr-defined] # PostgreSQL's
    connection.close()
    with ExitStack() as taken:
        for _ in range(pool.max_size):
            taken.enter_context(pool.connection())
        yield


def test_work_waits_for_the_pool_no_longer_than_it_may(nothing_left: None) -> None:
    began = time.monotonic()
    with waiting_at_most(0.05), pytest.raises(OperationalError):
        Exchange.objects.count()
    assert time.monotonic() - began < 5


def test_a_caller_is_told_to_come_again(gateway: Gateway, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.pool, "timeout", 0.05)  # type: ignore[attr-defined] # as above
    reply = gateway.say("hello")
    assert (reply.status, reply.error["code"]) == (503, "slow_down")
    assert reply.headers["retry-after"] == "2"

"""Another transaction holds a conversation of PostgreSQL's and does not let go: nobody waits for it for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection, transaction

from responses_app import settling
from responses_app.models import Conversation, Snapshot
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import turn
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's writers come one by one")


@pytest.fixture
def impatient(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway whose statements wait a tenth of a second."""
    options = connection.settings_dict["OPTIONS"]
    usual = options["lock_timeout"]

    def connect_anew(seconds: float) -> None:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] # PostgreSQL's
        options["lock_timeout"] = seconds

    connect_anew(0.1)
    yield gateway
    connect_anew(usual)


def test_a_caller_is_told_to_come_again(impatient: Gateway) -> None:
    first = impatient.say("one").json["id"]
    impatient.exchange()
    with transaction.atomic():
        Conversation.objects.select_for_update().get()
        reply = impatient.say("two", previous=first)
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "slow_down", "2")
    assert impatient.say("two", previous=first).status == 200


def test_a_complete_turn_is_stored_as_soon_as_it_can_be(
    impatient: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gate, refused, free = settling.settle, faults.Gate(), threading.Event(), threading.Event()

    def settle(*arguments: object) -> None:
        try:
            real(*arguments)
        except OperationalError:
            refused.set()
            free.wait(10)
            raise

    monkeypatch.setattr(settling, "settle", settle)
    upstream.script(faults.gated(gate, after=9))
    with impatient.stream(turn("hello")) as stream:
        stream.next("response.output_text.delta")
        with transaction.atomic():
            Conversation.objects.select_for_update().get()
            gate.open()
            assert refused.wait(10)
        free.set()
        answer = stream.next("response.completed")["response"]
    assert (answer["store"], Snapshot.objects.get().response_id) == (True, answer["id"])

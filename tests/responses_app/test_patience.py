"""How long a complete turn waits to be stored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import DatabaseError, Error, OperationalError
from psycopg.errors import LockNotAvailable

from responses_app import settling
from responses_app.claims import Claim
from responses_app.settling import Outcome
from responses_app.statements import snapshots
from tests.fakes.clock import ScriptedClock

pytestmark = pytest.mark.django_db


_ANSWERED = cast(Outcome, SimpleNamespace(response_id="resp_1", learnt=None))
_NOW = 1e9
"""Ahead of the machine's clock, by which other tests have settled."""


def _claim(name: str) -> SimpleNamespace:
    return SimpleNamespace(exchange=SimpleNamespace(request_id=name), conversation=SimpleNamespace(pk=1))


class Store:
    """A database that keeps a turn waiting, and perhaps takes another one's meanwhile."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, error: Error | type[Error], *, takes_others: bool, busy_for: int = 1000
    ) -> None:
        self.clock, self.tries = ScriptedClock(_NOW), 0
        self._error, self._takes_others, self._busy_for = error, takes_others, busy_for
        self._waits, self._other = (cast(Claim, _claim(name)) for name in "ab")
        monkeypatch.setattr(settling, "settle", self._settle)
        monkeypatch.setattr(settling, "leave_unstored", lambda *_, **__: None)
        monkeypatch.setattr(snapshots, "is_settled", lambda *_: False)
        monkeypatch.setattr(settling._Patience, "taken_at", float("-inf"))

    def _settle(self, claim: Claim, _: Any) -> None:
        if claim is self._other:
            return
        self.tries += 1
        self.clock.time += 1.5
        if self._takes_others:
            settling.settle_within(self._other, cast(Outcome, SimpleNamespace(response_id="resp")), self.clock)
        if self.tries <= self._busy_for:
            raise self._error

    def takes_the_turn(self) -> bool:
        return settling.settle_within(self._waits, cast(Outcome, SimpleNamespace(response_id="resp")), self.clock)

    @property
    def seconds(self) -> float:
        return self.clock.time - _NOW


def test_while_others_are_stored_a_turn_waits_for_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch, OperationalError, takes_others=True, busy_for=5)
    assert store.takes_the_turn()
    assert store.seconds > 7


def test_a_queue_that_lasts_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(monkeypatch, OperationalError, takes_others=True)
    assert not store.takes_the_turn()
    assert 28 < store.seconds < 33


@pytest.mark.parametrize(("error", "takes_others"), [(OperationalError, False), (DatabaseError, True)])
def test_a_database_that_takes_nothing_and_a_turn_that_cannot_be_taken_are_given_two_seconds(
    monkeypatch: pytest.MonkeyPatch, error: type[Error], takes_others: bool
) -> None:
    store = Store(monkeypatch, error, takes_others=takes_others)
    assert not store.takes_the_turn()
    assert store.tries == 2


def test_a_turn_whose_rows_another_transaction_holds_waits_for_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OperationalError("canceling statement due to lock timeout")
    error.__cause__ = LockNotAvailable()
    store = Store(monkeypatch, error, takes_others=False)
    assert not store.takes_the_turn()
    assert 28 < store.seconds < 33

"""A paid turn is never reported as failed, and what was answered as stored is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from accounts.models import KeyBudget
from responses_app import claims, settling
from responses_app.claims import Claim
from responses_app.models import Exchange, Snapshot
from responses_app.statements import snapshots
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.factories import make_key
from tests.fakes.upstream import FakeUpstream

TURN_TOKENS = 145
Write = Callable[[], None]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> list[Write]:
    """What is to be written later, for the test to write."""
    writes: list[Write] = []
    monkeypatch.setattr(settling, "write_later", lambda write, *_: writes.append(write))
    return writes


@pytest.fixture
def metered(gateway: Gateway) -> Caller:
    """A caller whose key counts tokens."""
    budget = KeyBudget(kind=KeyBudget.Kind.TOKENS, amount=1_000_000, window=KeyBudget.Window.MONTH)
    return gateway.caller(make_key(budgets=[budget]).secret)


@contextmanager
def unheard_commits(module: ModuleType) -> Iterator[None]:
    """What the module commits inside is committed, and it never hears of it."""

    @contextmanager
    def atomic() -> Iterator[None]:
        with transaction.atomic():
            yield
        raise OperationalError("server closed the connection unexpectedly")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "transaction", SimpleNamespace(atomic=atomic))
        yield


def write_twice(write: Write) -> None:
    """The first commit's answer is lost."""
    with unheard_commits(settling), pytest.raises(OperationalError):
        write()
    write()


def used() -> int:
    return KeyBudget.objects.get().used


def test_the_snapshot_is_there_before_the_terminal_event_is(gateway: Gateway) -> None:
    with gateway.stream(turn("hello")) as stream:
        completed = stream.next("response.completed")
        assert Snapshot.objects.get().response_id == completed["response"]["id"]
        assert Exchange.objects.get().status == "completed"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_turn_that_cannot_be_stored_is_answered_all_the_same_and_says_so(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseError("disk full")

    written: list[str] = []
    monkeypatch.setattr(settling, "settle", refuse)
    monkeypatch.setattr(settling, "GIVE_UP_AFTER_SECONDS", 0)
    monkeypatch.setattr(settling, "write_later", lambda write, request_id, clock: (write(), written.append(request_id)))
    reply = gateway.post(turn("hello", stream=streamed))
    answer = reply.events[-1]["response"] if streamed else reply.json
    assert (reply.status, answer["status"], answer["store"]) == (200, "completed", False)
    assert not Snapshot.objects.exists()
    exchange = Exchange.objects.get()
    assert (exchange.status, exchange.request_id) == ("completed", written[0])
    assert "would not store" in exchange.operator_note


def test_a_commit_that_came_through_unheard_is_not_written_over(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    real = settling.settle

    def settle_unheard(*arguments: object) -> None:
        real(*arguments)
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(settling, "settle", settle_unheard)
    monkeypatch.setattr(settling, "_PAUSE_SECONDS", 60)  # more than the patience there is
    monkeypatch.setattr(settling, "write_later", lambda write, request_id, clock: write())
    assert gateway.post(turn("hello")).status == 200
    exchange = Exchange.objects.get()
    assert (exchange.stored, exchange.operator_note, Snapshot.objects.count()) == (True, "", 1)


def test_settling_is_tried_again_while_the_database_is_busy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = settling.settle, []

    def busy_once(*arguments: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseError("locked")
        real(*arguments)

    monkeypatch.setattr(settling, "settle", busy_once)
    assert gateway.say("hello").json["store"] is True
    assert Snapshot.objects.count() == 1


def test_a_commit_whose_answer_was_lost_is_found_and_not_made_twice(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = settling.settle, []

    def cut_off(claim: Claim, outcome: settling.Outcome) -> None:
        tries.append(outcome.response_id)
        real(claim, outcome)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(settling, "settle", cut_off)
    reply = gateway.say("hello")
    assert (reply.status, reply.json["store"]) == (200, True)
    assert tries == [reply.json["id"]]
    assert gateway.exchange().operator_note == ""
    assert Snapshot.objects.get().response_id == reply.json["id"]


def test_a_commit_in_doubt_for_longer_than_a_turn_can_wait_is_counted_once_and_stands(
    gateway: Gateway, metered: Caller, late: list[Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> bool:
        raise OperationalError("the database system is starting up")

    monkeypatch.setattr(settling, "GIVE_UP_AFTER_SECONDS", 0.2)
    with unheard_commits(settling), pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "is_settled", unreachable)
        reply = metered.say("hello")
    assert (reply.status, reply.json["status"], reply.json["store"]) == (200, "completed", False)
    (write,) = late
    write_twice(write)
    exchange = gateway.exchange()
    assert (exchange.status, exchange.stored, exchange.operator_note) == ("completed", True, "")
    assert (Snapshot.objects.get().response_id, used()) == (reply.json["id"], TURN_TOKENS)


def test_that_a_turn_was_not_stored_is_written_once_although_a_commit_is_in_doubt(
    gateway: Gateway, metered: Caller, late: list[Write], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(settling, "settle", refuse)
    monkeypatch.setattr(settling, "GIVE_UP_AFTER_SECONDS", 0)
    metered.say("hello")
    (write,) = late
    write_twice(write)
    exchange = gateway.exchange()
    assert (exchange.status, exchange.stored) == ("completed", False)
    assert "would not store" in exchange.operator_note
    assert used() == TURN_TOKENS


def test_a_failure_whose_commit_is_in_doubt_is_counted_once(
    gateway: Gateway, upstream: FakeUpstream, metered: Caller, late: list[Write]
) -> None:
    done = b'{"id":"resp_x","status":"completed","output":[{"type":"message","role":"assistant"}],"usage":{"input_tokens":5}}'
    upstream.script(
        faults.frames(
            b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_x","output":[]}}\n\n',
            b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n' % done,
        )
    )
    with unheard_commits(settling):
        reply = metered.post({"model": "gpt-5.5", "input": "hello"}, "/v1/responses/compact")
    assert reply.error["code"] == "compaction_missing"
    (write,) = late
    write_twice(write)
    assert (gateway.exchange().status, used()) == ("failed", 5)


def test_a_refusal_whose_commit_is_in_doubt_has_one_row(gateway: Gateway, late: list[Write]) -> None:
    with unheard_commits(settling):
        assert gateway.say("hello", previous="resp_unknown").status == 400
    (write,) = late
    write_twice(write)
    exchange = Exchange.objects.get()
    assert (exchange.status, exchange.error_code) == ("refused", "previous_response_not_found")


def test_a_claim_whose_commit_is_in_doubt_is_ended_and_gives_back_what_it_took(gateway: Gateway, late: list[Write]) -> None:
    first = gateway.say("hello").json
    with unheard_commits(claims):
        assert gateway.say("and on", previous=first["id"]).status >= 500
    assert (gateway.exchange().status, late, Exchange.objects.count()) == ("failed", [], 2)
    assert not Snapshot.objects.exclude(continued_by=None).exists()


def test_what_an_answers_head_told_is_never_worth_its_turn(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_quotareading RENAME TO away")
    try:
        reply = gateway.say("hello")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO accounts_quotareading")
    assert (reply.status, reply.json["store"]) == (200, True)
    assert Snapshot.objects.count() == 1
    assert "could not be kept" in caplog.text

"""A paid turn is never reported as failed, and what was answered as stored is stored."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, connection

from responses_app import settling
from responses_app.claims import Claim
from responses_app.models import Exchange, Snapshot
from tests.conftest import Gateway
from tests.fakes.caller import turn


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
        real(*arguments)  # type: ignore[arg-type] # handed on
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
        real(*arguments)  # type: ignore[arg-type] # handed on

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

"""Processes that serve say that they live; what a dead one left behind is ended once, and its holds are given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import ref

import pytest
from django.db import connection

from accounts import editions
from accounts.models import CredentialTokens
from responses_app import fleet, workers
from responses_app.models import Exchange, Snapshot, Worker
from tests.conftest import Gateway
from tests.console import rows
from tests.fakes import faults
from tests.fakes.caller import turn
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


@pytest.fixture
def serving() -> Iterator[int]:
    """This process's row."""
    fleet.come_round()
    mine = workers.current()
    assert mine is not None
    yield mine
    fleet.leave()


def in_flight(**over: Any) -> Exchange:
    key = rows.make_key(over.pop("number", 1))
    fields = {"status": Exchange.Status.IN_FLIGHT, "ended_by": "", "finished_at": None, "deadline_at": NOW + timedelta(hours=1)}
    return rows.make_exchange(key, key.pk, **{**fields, **over})


def unseen(worker_id: int) -> None:
    Worker.objects.filter(pk=worker_id).update(seen_at=NOW - timedelta(seconds=31))


def test_a_turn_names_the_process_that_serves_it(gateway: Gateway, upstream: FakeUpstream, serving: int) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("hello")) as stream:
        stream.next("response.output_text.delta")
        assert [row.worker_id for row in Exchange.objects.running()] == [serving]
        assert [(row.serving, row.lives) for row in fleet.standing()] == [(1, True)]
        gate.open()
        stream.next("response.completed")
    assert gateway.exchange().worker_id == serving


def test_a_process_that_leaves_has_no_row(serving: int) -> None:
    fleet.leave()
    assert (workers.current(), Worker.objects.count()) == (None, 0)


def test_a_process_that_was_taken_for_dead_begins_anew(serving: int) -> None:
    Worker.objects.all().delete()
    fleet.come_round()
    assert Worker.objects.get().pk == workers.current() != serving


def test_a_process_that_serves_nobody_forgets_what_it_kept_of_a_login(gateway: Gateway, serving: int) -> None:
    gateway.say("hello"), gateway.say("again, for the first asked about the login and noted it")
    gateway.exchange()
    mark = editions.current()
    kept = ref(editions.answer(mark, ("logins", "codex"), lambda: pytest.fail("nothing is kept"))[0][0])
    fleet.come_round()
    assert kept() is not None
    CredentialTokens.objects.all().delete()
    fleet.come_round()
    assert kept() is None


def test_what_a_dead_process_left_is_ended_and_its_window_is_free_again(gateway: Gateway, serving: int) -> None:
    first = gateway.say("one").json["id"]
    dead = Worker.objects.create(host="other", pid=7)
    theirs, ours = in_flight(worker=dead), in_flight(number=2, worker_id=serving)
    Snapshot.objects.update(continued_by=theirs, continued_until=NOW + timedelta(hours=1))
    fleet.come_round()
    assert Exchange.objects.running().count() == 2
    unseen(dead.pk)
    fleet.come_round()
    theirs.refresh_from_db()
    assert (theirs.status, theirs.ended_by, theirs.error_code) == ("failed", "lost", "worker_lost")
    assert theirs.finished_at is not None
    assert list(Exchange.objects.running()) == [ours]
    assert list(Worker.objects.values_list("pk", flat=True)) == [serving]
    gateway.say("two", previous=first)
    assert gateway.exchange().generation == 0, "the window that the dead one held"
    ours.delete()


@pytest.mark.parametrize("over", [{"deadline_at": NOW - timedelta(seconds=62)}, {"worker_id": 999}], ids=["late", "nobody's"])
def test_a_turn_that_nobody_serves_is_lost(serving: int, over: dict[str, Any]) -> None:
    in_flight(**{"worker_id": serving, **over})
    assert fleet.end_lost() == 1
    assert fleet.end_lost() == 0
    assert Exchange.objects.get().ended_by == "lost"


def test_a_turn_that_ends_well_though_it_was_taken_for_lost_says_nothing_of_that(
    gateway: Gateway, upstream: FakeUpstream, serving: int
) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("hello")) as stream:
        stream.next("response.output_text.delta")
        unseen(serving)
        assert fleet.end_lost() == 1
        gate.open()
        stream.next("response.completed")
    exchange = gateway.exchange()
    assert (exchange.status, exchange.error_code, exchange.operator_note) == ("completed", "", "")


def test_a_turn_that_names_no_process_is_not_lost_before_its_deadline() -> None:
    in_flight(deadline_at=datetime.now(UTC) + timedelta(seconds=1))
    assert fleet.end_lost() == 0
    assert Exchange.objects.running().count() == 1


def test_what_was_settled_meanwhile_stays_settled() -> None:
    exchange = in_flight(worker_id=999, status=Exchange.Status.COMPLETED, ended_by="upstream")
    assert fleet.end_lost() == 0
    exchange.refresh_from_db()
    assert exchange.ended_by == "upstream"


def test_many_are_ended_once_whoever_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_BATCH", 7)
    key = rows.make_key()
    for number in range(40):
        rows.make_exchange(key, number, status=Exchange.Status.IN_FLIGHT, worker_id=999)
    ended: list[int] = []

    def end() -> None:
        ended.append(fleet.end_lost())
        connection.close()

    threads = [threading.Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ended) + fleet.end_lost() == 40
    assert Exchange.objects.filter(ended_by="lost").count() == 40


def test_the_lost_are_found_without_reading_history() -> None:
    plan = Exchange.objects.lost().explain()
    assert "exchange_in_flight" in plan or connection.vendor == "postgresql", plan

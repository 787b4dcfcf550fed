"""Who locks rows of PostgreSQL's in the order of docs/decisions/0002: the other one always gets on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.urls import reverse

from accounts import quota
from accounts.models import ApiKey, KeyBudget, QuotaReading
from floway import sql
from floway.providers.contract import Keepsake, QuotaWindow
from responses_app import content, conversing, pruning, purging, retrieving, settling
from responses_app.clock import SystemClock
from responses_app.listing import identified
from responses_app.models import BackgroundResponse, Conversation, Exchange, NamedConversation, Provenance, Purge, Snapshot
from responses_app.pacing import Pace
from responses_app.statements import conversations, segments
from tests.console import people, rows
from tests.console.pages import budgets
from tests.fakes.writer import Holder, Writer
from tests.responses_app.test_windows import Line

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's writers come one by one"),
]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@contextmanager
def waiting_for_me(work: Any) -> Iterator[Writer]:
    """A transaction in which another, that does `work`, is let wait for what was locked before; it is over at the end."""
    other = Writer(work, atomic=False)
    with transaction.atomic():
        yield other
    other.finish()


def met(other: Writer) -> None:
    other.start()
    other.wait_until_it_waits(on_me=True)


def test_who_changes_a_keys_budgets_locks_the_key_first_as_turns_do() -> None:
    key = ApiKey.objects.create(name="k", provider="codex", has_budgets=True)
    budget = KeyBudget.objects.create(key=key, kind="requests", amount=5, window="hour")
    operator = people.superuser()
    fields = {"budgets-0-id": budget.pk, "budgets-0-key": key.pk, "name": "k", "enabled": "on", "max_in_flight": ""}
    page = reverse("admin:accounts_apikey_change", args=[key.pk])
    with waiting_for_me(lambda: operator.post(page, {**budgets((9, "requests", "hour"), kept=1), **fields})) as changing:
        list(ApiKey.objects.select_for_update(no_key=True))
        met(changing)
        KeyBudget.objects.update(used=1)
    budget.refresh_from_db()
    assert (budget.amount, budget.used) == (9, 1)


def test_who_changes_several_budgets_locks_them_by_number_as_turns_that_end_do() -> None:
    from floway.console.api import accounts

    key = ApiKey.objects.create(name="k", provider="codex", has_budgets=True)
    of = [KeyBudget.objects.create(key=key, kind="tokens", amount=5, window=window) for window in ("hour", "day")]
    wanted: list[dict[str, Any]] = [{"kind": "tokens", "amount": 9, "window": window} for window in ("day", "hour")]

    def change() -> None:
        with transaction.atomic():
            accounts._replace_budgets(key, wanted)

    with waiting_for_me(change) as changing:
        KeyBudget.objects.filter(pk=of[0].pk).update(used=1)
        met(changing)
        KeyBudget.objects.filter(pk=of[1].pk).update(used=1)
    assert set(key.budgets.values_list("amount", "used")) == {(9, 1)}


def test_who_deletes_a_response_locks_what_was_in_the_background_first_as_clearing_does() -> None:
    line = Line()
    line.turn("r1")
    line.turn("r2", "r1")
    first, second = line.snapshots["r1"], line.snapshots["r2"]
    Snapshot.objects.update(answer=b"sealed")
    BackgroundResponse.objects.create(
        response_id=second.response_id, request_id="r", api_key=line.key, continued=first, sealed=b"", lease_until=NOW
    )
    with waiting_for_me(lambda: retrieving.delete(line.key.pk, second.response_id, NOW)) as deleting:
        BackgroundResponse.objects.update(continued=None)
        met(deleting)
        pruning.remove([first.pk, second.pk])
    assert BackgroundResponse.objects.get().deleted_at == NOW


def test_who_notes_allowances_locks_them_in_one_order() -> None:
    credential = rows.make_credential()
    one, two = (QuotaWindow(limit="", window=name, used_percent=5, minutes=60, resets_at=None) for name in ("a", "b"))

    def note() -> None:
        with transaction.atomic():
            quota.note(credential.pk, [two, one], NOW)

    with waiting_for_me(note) as noting:
        quota.note(credential.pk, [one], NOW)
        met(noting)
        quota.note(credential.pk, [two], NOW)
    assert QuotaReading.objects.filter(credential=credential, window__in="ab").count() == 2


def test_who_notes_what_was_issued_inserts_it_in_one_order() -> None:
    key, credential = rows.make_key(), rows.make_credential()
    one, two = b"1" * 32, b"2" * 32

    def note() -> None:
        with transaction.atomic():
            segments.add_provenance(key.pk, [two, one], credential.pk)

    with waiting_for_me(note) as noting:
        segments.add_provenance(key.pk, [one], credential.pk)
        sql.send_waiting()
        met(noting)
        segments.add_provenance(key.pk, [two], credential.pk)
    assert Provenance.objects.filter(api_key=key).count() == 2


def test_who_takes_an_item_out_locks_the_line_in_which_its_conversation_stands_now() -> None:
    line = Line()
    line.turn("r1")
    tip = line.snapshots["r1"]
    named = conversing.create(line.key, [], {}, NOW)
    item = identified(content.expand(tip), named.public_id)[0]
    before = Conversation.objects.filter(pk=named.tip.conversation_id)
    moving = Holder(lambda: (before.update(last_used_at=NOW), NamedConversation.objects.update(tip=tip)))
    with waiting_for_me(lambda: conversing.remove(line.key.pk, named.public_id, item["id"])) as removing:
        assert conversations.touch(tip.conversation_id, None, NOW, None, opens_window=False)() == 0
        moving.hold()
        removing.start()
        removing.wait_until_it_waits()
        moving.let_go()
        removing.wait_until_it_waits(on_me=True)
        assert NamedConversation.objects.select_for_update().get().tip == tip
    assert len(conversing.items(conversing.find(line.key.pk, named.public_id))) == 1


def test_a_turn_that_fails_and_keeps_something_locks_its_conversation_first_as_purging_does() -> None:
    line = Line()
    exchange, credential = line.claim().exchange, rows.make_credential()
    whose = exchange.conversation_id
    assert whose is not None
    exchange.status = Exchange.Status.FAILED
    learnt = settling.Learnt(credential.pk, whose, keepsake=Keepsake("key", "value"))
    with waiting_for_me(lambda: settling.fail(exchange, learnt, SystemClock())) as failing:
        assert pruning.locked([whose]) == {whose}
        met(failing)
        Exchange.objects.filter(pk=exchange.pk).update(continued=None)
    assert Exchange.objects.get().status == Exchange.Status.FAILED


def test_two_processes_at_one_purge_do_not_wait_for_each_other() -> None:
    line = Line()
    line.turn("r1")
    tip = line.snapshots["r1"]
    background = BackgroundResponse.objects.create(
        response_id="resp_b", request_id="r", api_key=line.key, continued=tip, sealed=b"sealed", lease_until=NOW
    )
    purge = purging.ask(purging.Target(Purge.Kind.CONVERSATION, line.key, tip.conversation_id), "me", None, datetime.now(UTC))
    with waiting_for_me(lambda: purging.advance(purge, Pace(None, rests=False))) as marking:
        BackgroundResponse.objects.filter(pk=background.pk).update(sealed=b"other")
        met(marking)
        Purge.objects.select_for_update().get()
    assert purge.marked_at is not None

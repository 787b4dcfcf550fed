"""What is past its time goes, with what only it needed; a conversation that goes on is never cut."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts import maintenance
from accounts.models import ApiKey
from responses_app import chores, collecting, pruning, usage
from responses_app.models import (
    BackgroundResponse,
    Collection,
    Conversation,
    Exchange,
    Item,
    NamedConversation,
    Provenance,
    RecallKey,
    Segment,
    SegmentEntry,
    Snapshot,
)
from responses_app.pacing import Pace
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Reply, text_of, turn
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import background_ended, until
from tests.fakes.writer import Writer

CONTENT = (Snapshot, Item, SegmentEntry, Segment, Conversation, RecallKey)


def collect(**later: float) -> dict[str, int]:
    """What a round removes now, or later."""
    return dict(chores.collect(datetime.now(UTC) + timedelta(**later), Pace(None, rests=False)))


def age(*responses: Any, days: float = 31) -> None:
    """Let these have been used that long ago, and their conversation too."""
    then = datetime.now(UTC) - timedelta(days=days)
    rows = Snapshot.objects.filter(response_id__in=[response["id"] for response in responses])
    Conversation.objects.filter(snapshots__in=rows).update(last_used_at=then)
    rows.update(last_used_at=then)


def test_a_conversation_to_which_items_are_added_is_in_use(gateway: Gateway) -> None:
    made = gateway.post({}, "/v1/conversations").json
    NamedConversation.objects.update(last_used_at=datetime.now(UTC) - timedelta(days=31))
    items = [{"type": "message", "role": "user", "content": "one"}]
    assert gateway.post({"items": items}, f"/v1/conversations/{made['id']}/items").status == 200
    collect()
    assert gateway.get(f"/v1/conversations/{made['id']}").status == 200


def counts() -> list[int]:
    return [model._default_manager.count() for model in CONTENT]


def test_what_was_not_used_for_its_days_is_gone_without_a_trace_of_content(gateway: Gateway) -> None:
    first = gateway.say("one").json
    gateway.say("two", previous=first["id"])
    gateway.say("three", store=False)
    gateway.exchange()
    assert collect(days=29) == {}
    removed = collect(days=31)
    assert removed == {"responses": 3, "entries": 9, "items": 6, "conversations": 2}
    assert counts() == [0] * len(CONTENT)
    assert gateway.say("x", previous=first["id"]).error["code"] == "previous_response_not_found"
    assert [(row.conversation_id, row.continued_id) for row in Exchange.objects.order_by("pk")[:3]] == [(None, None)] * 3
    assert Collection.objects.get().removed == removed


def test_a_conversation_that_goes_on_is_never_cut(gateway: Gateway) -> None:
    first = gateway.say("one").json
    second = gateway.say("two", previous=first["id"]).json
    third = gateway.say("three", previous=second["id"]).json
    gateway.exchange()
    Snapshot.objects.exclude(response_id=third["id"]).update(last_used_at=datetime.now(UTC) - timedelta(days=400))
    before = counts()
    assert collect() == {}
    assert counts() == before
    assert '"one"' in text_of(gateway.say("four", previous=third["id"]).json)
    # What is needed yet is not looked at again: it counts as used when the newest that needs it was.
    newest = Snapshot.objects.get(response_id=third["id"]).last_used_at
    assert set(Snapshot.objects.filter(pk__lt=3).values_list("last_used_at", flat=True)) <= {newest}


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite's writers come one by one")
def test_what_is_needed_yet_is_not_written_while_a_turn_settles(gateway: Gateway) -> None:
    first = gateway.say("one").json
    second = gateway.say("two", previous=first["id"]).json
    gateway.say("three", previous=second["id"])
    gateway.exchange()
    past = Snapshot.objects.filter(response_id__in=[first["id"], second["id"]])
    past.update(last_used_at=(old := datetime.now(UTC) - timedelta(days=400)))
    with transaction.atomic():
        list(Conversation.objects.select_for_update(no_key=True))
        past.filter(response_id=second["id"]).update(continued_until=None)
        collecting_now = Writer(collect)
        collecting_now.start()
        collecting_now.finish()
    assert past.filter(last_used_at=old).count() == 2
    collect()
    assert not past.filter(last_used_at=old).exists()


def test_of_a_fork_the_branch_goes_that_nobody_went_on_with(gateway: Gateway) -> None:
    root = gateway.say("root").json
    dead = gateway.say("dead end", previous=root["id"]).json
    further = gateway.say("further", previous=dead["id"]).json
    live = gateway.say("live", previous=root["id"]).json
    gateway.exchange()
    age(root, dead, further)
    Conversation.objects.update(last_used_at=datetime.now(UTC))
    assert collect() == {"responses": 2, "entries": 6, "items": 6}
    said = text_of(gateway.say("on", previous=live["id"]).json)
    assert '"root"' in said and '"live"' in said and "dead" not in said
    assert gateway.say("x", previous=dead["id"]).status == 400
    assert gateway.say("again", previous=root["id"]).status == 200


def test_a_key_has_its_own_number_of_days(gateway: Gateway) -> None:
    made = gateway.say("one").json
    gateway.exchange()
    ApiKey.objects.update(retention_days=90)
    assert collect(days=89) == {}
    ApiKey.objects.update(retention_days=2)
    assert collect(days=3)["responses"] == 1
    assert gateway.get(f"/v1/responses/{made['id']}").status == 404


def test_what_a_caller_deletes_is_gone_once_nothing_is_built_upon_it(gateway: Gateway) -> None:
    alone, first = gateway.say("alone").json, gateway.say("one").json
    second = gateway.say("two", previous=first["id"]).json
    for gone in (alone, first):
        assert gateway.send("DELETE", f"/v1/responses/{gone['id']}", None, gateway.headers({})).status == 200
    assert collect() == {"responses": 1, "entries": 3, "items": 3}
    assert collect() == {}
    assert '"one"' in text_of(gateway.say("three", previous=second["id"]).json)
    gateway.exchange()
    Snapshot.objects.exclude(response_id=first["id"]).update(deleted_at=datetime.now(UTC))
    assert collect()["responses"] == 3
    assert Item.objects.count() == 0


def test_a_caller_that_sends_its_history_anew_keeps_what_it_sent_last(gateway: Gateway) -> None:
    history: list[Any] = []
    for said in ("one", "two", "three"):
        history.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]})
        made = gateway.post({**turn("x"), "input": history}).json
        history += made["output"]
    gateway.exchange()
    Snapshot.objects.exclude(response_id=made["id"]).update(last_used_at=datetime.now(UTC) - timedelta(days=31))
    assert collect() == {"responses": 2}
    assert '"one"' in text_of(gateway.say("on", previous=made["id"]).json)


def test_a_turn_in_flight_keeps_what_it_continues(gateway: Gateway, upstream: FakeUpstream) -> None:
    first, gate = gateway.say("one").json, faults.Gate()
    gateway.exchange()
    age(first)
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("two", previous=first["id"])) as stream:
        stream.next("response.output_text.delta")
        assert collect() == {}
        gate.open()
        made = stream.next("response.completed")["response"]
    assert '"one"' in text_of(gateway.say("three", previous=made["id"]).json)


def test_a_turn_that_begins_while_its_past_is_deleted_is_told_that_it_is_unknown(gateway: Gateway) -> None:
    first = gateway.say("one").json
    gateway.exchange()
    age(first)
    replies: list[Reply] = []
    caller = threading.Thread(target=lambda: replies.append(gateway.say("two", previous=first["id"])))
    pace, now = Pace(None, rests=False), datetime.now(UTC)
    original = pruning.remove

    def remove_while_a_turn_begins(snapshots: Any) -> Any:
        removed = original(snapshots)
        caller.start()
        # It has found the snapshot when its claim waits for this transaction; PostgreSQL tells, SQLite's lock is ours.
        caller.join(0.5)
        return removed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "remove", remove_while_a_turn_begins)
        assert chores.collect(now, pace)["responses"] == 1
    caller.join(10)
    assert [reply.status for reply in replies] == [400]
    assert replies[0].error["code"] == "previous_response_not_found"
    assert gateway.say("three").status == 200


def test_history_goes_after_its_days_but_not_before_its_response(gateway: Gateway) -> None:
    gateway.say("one")
    gateway.exchange()
    old = datetime.now(UTC) - timedelta(days=91)
    assert gateway.issued is not None
    Exchange.objects.update(started_at=old)
    Provenance.objects.create(api_key=gateway.issued.key, digest=b"x" * 32, credential=gateway.credential, created_at=old)
    assert collect() == {"provenance": 1}
    removed = collect(days=31)
    assert (removed["responses"], removed.get("exchanges", 0)) == (1, 0)
    # Not before its usage is summed up.
    holder = maintenance.new_holder()
    assert maintenance.renew(holder)
    usage.count(holder)
    assert collect(days=31) == {"exchanges": 1}


def test_what_is_past_its_time_is_found_by_an_index(gateway: Gateway) -> None:
    now = datetime.now(UTC)
    key = ApiKey.objects.get()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")
        for rows in collecting.searches(key, now):
            assert "SCAN responses_app" not in (plan := rows.explain()) and "Seq Scan" not in plan, plan
        if connection.vendor == "postgresql":
            cursor.execute("RESET enable_seqscan")


def test_a_named_conversation_keeps_what_it_stands_on_until_its_own_time_is_over(gateway: Gateway) -> None:
    made = gateway.post({}, "/v1/conversations").json
    said = gateway.say("one", conversation=made["id"]).json
    gateway.exchange()
    age(said)
    assert collect() == {}
    assert '"one"' in text_of(gateway.say("two", conversation=made["id"]).json)
    gateway.exchange()
    removed = collect(days=31)
    assert (removed["named conversations"], removed["conversations"]) == (1, 1)
    assert counts() == [0] * len(CONTENT)
    assert gateway.get(f"/v1/conversations/{made['id']}").status == 404


def test_what_was_made_in_the_background_goes_too(gateway: Gateway) -> None:
    made = gateway.say("one", background=True).json
    until(lambda: gateway.get(f"/v1/responses/{made['id']}").json["status"] == "completed")
    background_ended()
    assert collect(days=31)["background responses"] == 1
    assert BackgroundResponse.objects.count() == 0

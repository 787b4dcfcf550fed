"""An operator purges content: what will be lost is said first, the password asked for, and nothing of it comes back."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts import roles
from accounts.models import ApiKey, AuditEntry
from responses_app import purging
from responses_app.models import (
    BackgroundResponse,
    Conversation,
    EventBatch,
    Exchange,
    Item,
    Payload,
    Provenance,
    Purge,
    RecallKey,
    SegmentEntry,
    Snapshot,
)
from responses_app.pacing import Pace
from responses_app.purging import Kind, Target
from tests.conftest import Gateway
from tests.console import people
from tests.fakes import faults
from tests.fakes.caller import text_of, turn
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import background_ended

PASSWORD = "correct horse battery staple"
PAGE = "admin:responses_app_purge_add"


@pytest.fixture
def owner(gateway: Gateway) -> Client:
    """The browser of somebody in the role of owners, who has a password."""
    for role in (roles.OWNER, roles.OPERATOR):  # emptied with the tables of the test before
        Group.objects.get_or_create(name=role)
    roles.establish()
    client = people.in_role(roles.OWNER)
    user = User.objects.get(username="the-owner")
    user.set_password(PASSWORD)
    user.save()
    client.force_login(user)
    return client


def asked(client: Client, **data: Any) -> str:
    """The page that says what will be lost."""
    return client.post(reverse(PAGE), data).content.decode()


def purged(client: Client, **data: Any) -> Purge:
    reply = client.post(reverse(PAGE), {**data, "confirmed": "1", "password": PASSWORD})
    assert reply.status_code == 302, reply.content.decode()
    return Purge.objects.latest("pk")


def written(gateway: Gateway) -> Exchange:
    """The last exchange, once what is written late is."""
    gateway.exchange()
    for thread in threading.enumerate():
        if thread.name.startswith("late-write"):
            thread.join(10)
    return gateway.exchange()


def at_rest() -> list[int]:
    return [model._default_manager.count() for model in (Conversation, Snapshot, Item, SegmentEntry, RecallKey)]


def test_a_conversation_goes_with_what_was_continued_from_it_and_nothing_else(gateway: Gateway, owner: Client) -> None:
    first = gateway.say("one").json
    gateway.say("two", previous=first["id"])
    elsewhere = gateway.post(turn("three", previous=first["id"]), **{"session-id": "another"}).json
    other = gateway.say("something else").json
    gateway.exchange()
    conversation = Snapshot.objects.get(response_id=first["id"]).conversation_id
    assert Snapshot.objects.get(response_id=elsewhere["id"]).conversation_id != conversation
    page = asked(owner, kind="conversation", conversation=conversation)
    assert "<strong>2</strong> conversations" in page and "<strong>3</strong> stored responses" in page
    assert Conversation.objects.filter(purge=None).count() == 3
    purge = purged(owner, kind="conversation", conversation=conversation)
    assert (purge.finished_at is not None, purge.removed["responses"], purge.removed["conversations"]) == (True, 3, 2)
    for gone in (first, elsewhere):
        assert gateway.get(f"/v1/responses/{gone['id']}").status == 404
        assert gateway.say("x", previous=gone["id"]).error["code"] == "previous_response_not_found"
    assert '"something else"' in text_of(gateway.say("on", previous=other["id"]).json)
    shown = owner.get(reverse("admin:responses_app_purge_change", args=[purge.pk])).content.decode()
    assert "done" in shown and "<strong>3</strong> stored responses" in shown


def test_an_end_users_content_goes_and_the_history_forgets_them(gateway: Gateway, owner: Client) -> None:
    mine = gateway.say("mine", safety_identifier="alice@example.com").json
    gateway.say("mine too", previous=mine["id"], user="alice@example.com")
    gateway.say("quietly", store=False, safety_identifier="alice@example.com")
    kept = gateway.say("another's", safety_identifier="bob").json
    gateway.exchange()
    key = ApiKey.objects.get().pk
    page = asked(owner, kind="end_user", key=key, name="alice@example.com")
    assert "alice" not in page
    assert "<strong>3</strong> requests" in page
    digest = page.split('name="digest" value="')[1].split('"')[0]
    purge = purged(owner, kind="end_user", key=key, digest=digest)
    assert purge.finished_at is not None
    left = Exchange.objects.exclude(end_user_digest=None)
    assert [row.response_id for row in left] == [kept["id"]]
    assert Exchange.objects.filter(identity=[], input_tokens__gt=0).count() == 3
    assert gateway.get(f"/v1/responses/{kept['id']}").status == 200
    assert gateway.get(f"/v1/responses/{mine['id']}").status == 404


def test_a_keys_content_goes_entirely_and_the_key_goes_on_calling(gateway: Gateway, owner: Client) -> None:
    key = ApiKey.objects.get()
    ApiKey.objects.update(capture_until=datetime(2099, 1, 1, tzinfo=UTC))
    gateway.say("one")
    assert gateway.post({"model": 3}).status == 400
    gateway.exchange()
    assert Payload.objects.count() == 2
    page = asked(owner, kind="key", key=key.pk)
    assert "<strong>2</strong> captured payloads" in page
    purge = purged(owner, kind="key", key=key.pk)
    assert purge.finished_at is not None
    assert at_rest() == [0] * 5
    assert (Payload.objects.count(), Provenance.objects.count()) == (0, 0)
    assert set(Exchange.objects.values_list("error_message", flat=True)) == {""}
    assert gateway.say("one").status == 200
    told = AuditEntry.objects.filter(object_type="purge").order_by("pk")
    assert [(row.actor, row.action) for row in told] == [("the-owner", "asked for a purge"), ("the-owner", "purged")]


def test_a_turn_in_flight_does_not_bring_back_what_was_purged(gateway: Gateway, owner: Client, upstream: FakeUpstream) -> None:
    first = gateway.say("one").json
    gateway.exchange()
    conversation, gate = Conversation.objects.get().pk, faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("two", previous=first["id"])) as stream:
        stream.next("response.output_text.delta")
        purge = purged(owner, kind="conversation", conversation=conversation)
        assert (purge.marked_at is not None, purge.finished_at) == (True, None)
        gate.open()
        made = stream.next("response.completed")["response"]
    assert made["store"] is False
    exchange = written(gateway)
    assert (exchange.status, exchange.stored) == (Exchange.Status.COMPLETED, False)
    assert gateway.get(f"/v1/responses/{made['id']}").status == 404
    assert purging.advance(purge, Pace(None, rests=False))
    assert at_rest() == [0] * 5
    exchange.refresh_from_db()
    assert (exchange.identity, exchange.conversation_id) == ([], None)
    assert exchange.input_tokens


def test_a_turn_that_continues_elsewhere_what_is_purged_is_not_stored(
    gateway: Gateway, owner: Client, upstream: FakeUpstream
) -> None:
    first = gateway.say("one").json
    gateway.exchange()
    conversation, gate = Conversation.objects.get().pk, faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("two", previous=first["id"]), **{"session-id": "another"}) as stream:
        stream.next("response.output_text.delta")
        purged(owner, kind="conversation", conversation=conversation)
        gate.open()
        assert stream.next("response.completed")["response"]["store"] is False
    assert written(gateway).status == Exchange.Status.COMPLETED
    assert Item.objects.count() == 0


def test_nothing_is_captured_of_a_turn_whose_conversation_is_purged(
    gateway: Gateway, owner: Client, upstream: FakeUpstream
) -> None:
    ApiKey.objects.update(capture_until=datetime(2099, 1, 1, tzinfo=UTC))
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with gateway.stream(turn("one")) as stream:
        stream.next("response.output_text.delta")
        purged(owner, kind="conversation", conversation=Conversation.objects.get().pk)
        gate.open()
        stream.next("response.completed")
    written(gateway)
    assert not Payload.objects.exists()


def test_a_response_in_the_background_that_continues_elsewhere_what_is_purged_is_emptied(
    gateway: Gateway, owner: Client, upstream: FakeUpstream
) -> None:
    first = gateway.say("one").json
    gateway.exchange()
    conversation, gate = Conversation.objects.get().pk, faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    made = gateway.post(turn("two", previous=first["id"], background=True), **{"session-id": "another"}).json
    assert gate.reached.wait(5)
    purged(owner, kind="conversation", conversation=conversation)
    gate.open()
    background_ended()
    assert gateway.get(f"/v1/responses/{made['id']}").status == 404
    assert not BackgroundResponse.objects.exclude(sealed=b"").exists()
    written(gateway)


def test_a_response_in_the_background_is_ended_and_emptied(gateway: Gateway, owner: Client, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    made = gateway.say("one", background=True).json
    named = gateway.post({}, "/v1/conversations").json
    assert gate.reached.wait(5)
    purge = purged(owner, kind="key", key=ApiKey.objects.get().pk)
    gate.open()
    assert gateway.get(f"/v1/responses/{made['id']}").status == 404
    assert gateway.get(f"/v1/conversations/{named['id']}").status == 404
    background_ended()
    written(gateway)
    assert purging.advance(purge, Pace(None, rests=False))
    assert at_rest() == [0] * 5
    assert (BackgroundResponse.objects.count(), EventBatch.objects.count()) == (0, 0)


def test_nothing_is_purged_without_the_password_nor_by_who_may_not(gateway: Gateway, owner: Client) -> None:
    gateway.say("one")
    gateway.exchange()
    data = {"kind": "key", "key": ApiKey.objects.get().pk, "confirmed": "1"}
    assert "not your password" in owner.post(reverse(PAGE), {**data, "password": "guess"}).content.decode()
    assert people.in_role(roles.OPERATOR).get(reverse(PAGE)).status_code == 403
    assert owner.get(reverse(PAGE) + f"?key={data['key']}").status_code == 200
    assert "There is nothing of it" in asked(owner, kind="end_user", key=data["key"], name="nobody")
    assert "Say whose" in asked(owner, kind="end_user", key=data["key"])
    assert (Purge.objects.count(), Item.objects.count()) == (0, 3)


def test_a_large_purge_goes_on_where_it_was_left(gateway: Gateway) -> None:
    for said in ("one", "two", "three"):
        made = gateway.say(said).json
    gateway.exchange()
    target = Target(Kind.KEY, ApiKey.objects.get())
    purge = purging.ask(target, "somebody", 7, datetime.now(UTC))
    ticks = iter(range(1000))
    assert not purging.advance(purge, Pace(8, now=lambda: float(next(ticks)), rests=False))
    assert gateway.get(f"/v1/responses/{made['id']}").status == 404
    purging.advance_all(Pace(None, rests=False))
    purge.refresh_from_db()
    assert (purge.finished_at is not None, purge.removed["conversations"], purge.removed["responses"]) == (True, 3, 3)
    assert at_rest() == [0] * 5


def test_the_command_line_says_what_will_be_lost_and_purges(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.say("one", user="alice")
    gateway.exchange()
    monkeypatch.setattr("sys.stdin", io.StringIO("alice\n"))
    said = io.StringIO()
    call_command("purge", key=ApiKey.objects.get().pk, end_user=True, yes=True, stdout=said)
    assert "responses: 1" in said.getvalue() and "Purged." in said.getvalue()
    assert at_rest() == [0] * 5

"""Several credentials: who serves a conversation, who takes over before an answer has begun, and who is left to rest."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import OAuthCredential, Pool, QuotaReading
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import text_of, turn
from tests.fakes.factories import make_credential, make_key
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.upstream import FakeUpstream, Fault

TOMORROW = int(time.time()) + 24 * 3600
IN_AN_HOUR = int(time.time()) + 3600
CAROL = type(ALICE)(account_id="cccccccc-58b2-4d0f-b7b6-5b4d7f1a6c21", user_id="user-carol", email="carol@example.com")
INCLUDE = ["reasoning.encrypted_content"]
SERVER_ERROR = {"error": {"message": "Internal.", "type": "server_error", "code": None}}


def pool(**over: Any) -> Pool:
    return Pool.objects.create(**{"provider": "codex", **over})


def accounts_of(upstream: FakeUpstream) -> list[str | None]:
    return [request.header("chatgpt-account-id") for request in upstream.turns]


def rested(credential: OAuthCredential) -> None:
    """As if its cool-down had just ended."""
    OAuthCredential.objects.filter(pk=credential.pk).update(state_until=timezone.now() - timedelta(seconds=1))


def attempts(gateway: Gateway) -> list[tuple[str, str]]:
    return [(attempt["credential"], attempt["outcome"]) for attempt in gateway.exchange().attempts or []]


# --- who begins ---


def test_a_conversation_stays_with_its_credential(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    pool(policy=Pool.Policy.ROUND_ROBIN)
    begun = [gateway.say(f"begin {n}").json["id"] for n in range(4)]
    for previous in begun:
        gateway.say("go on", previous=previous)
    accounts = accounts_of(upstream)
    assert accounts[:4] == [ALICE.account_id, BOB.account_id] * 2
    assert accounts[4:] == accounts[:4]


def test_the_first_in_order_is_filled_first(gateway: Gateway, upstream: FakeUpstream) -> None:
    OAuthCredential.objects.update(rank=1)
    make_credential(BOB)
    for n in range(3):
        gateway.say(f"begin {n}")
    assert accounts_of(upstream) == [BOB.account_id] * 3


def test_the_one_with_most_quota_left_begins(gateway: Gateway, upstream: FakeUpstream) -> None:
    bob = make_credential(BOB)
    pool(policy=Pool.Policy.MOST_LEFT)
    later = timezone.now() + timedelta(hours=1)
    common = {"limit": "codex", "window": "primary", "minutes": 300, "resets_at": later, "observed_at": timezone.now()}
    for credential, used in ((gateway.credential, 80), (bob, 20)):
        QuotaReading.objects.create(credential=credential, used_percent=used, **common)
    gateway.say("begin")
    assert accounts_of(upstream) == [BOB.account_id]


def test_weights_deal_conversations_out_in_their_proportion(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB, weight=3)
    make_credential(CAROL, weight=0)
    pool(policy=Pool.Policy.WEIGHTS)
    for n in range(8):
        gateway.say(f"begin {n}")
    accounts = accounts_of(upstream)
    assert (accounts.count(ALICE.account_id), accounts.count(BOB.account_id)) == (2, 6)


def test_a_key_calls_with_its_credentials_alone(gateway: Gateway, upstream: FakeUpstream) -> None:
    bob = make_credential(BOB)
    issued = make_key("limited")
    issued.key.credentials.set([bob])
    caller = gateway.caller(issued.secret)
    assert caller.say("hello").status == 200
    upstream.script(faults.status(500, SERVER_ERROR))
    assert caller.say("again").status == 503
    assert accounts_of(upstream) == [BOB.account_id] * 2
    bob.enter(OAuthCredential.State.DISABLED, "")
    assert caller.say("hello").status == 503
    assert gateway.say("hello").status == 200


# --- who takes over ---

BROKEN: dict[str, Fault] = {
    "no answer": faults.half_a_status_line(),
    "server error": faults.status(500, SERVER_ERROR),
    "overloaded": faults.status(503, {"error": {"message": "full", "code": "server_is_overloaded", "type": "server_error"}}),
    "blocked at the edge": faults.edge_page(),
    "dead login": faults.token_invalidated(),
    "overloaded inside a 200": faults.overloaded(),
    "slowed down inside a 200": faults.overloaded("slow_down"),
    "failed without a reason inside a 200": faults.overloaded(None),
    "cut before any output": faults.cut_after(2),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("streamed", [False, True])
def test_another_credential_takes_over_before_an_answer_has_begun(
    gateway: Gateway, upstream: FakeUpstream, fault: Fault, streamed: bool
) -> None:
    make_credential(BOB)
    upstream.script(fault)
    reply = gateway.say("hello", stream=streamed)
    assert reply.status == 200
    response = reply.events[-1]["response"] if streamed else reply.json
    assert response["status"] == "completed"
    assert "hello" in text_of(response)
    assert accounts_of(upstream) == [ALICE.account_id, BOB.account_id]
    first, second = upstream.bodies
    metadata = [body["client_metadata"] for body in (first, second)]
    assert {m["turn_id"] for m in metadata} == {metadata[0]["turn_id"]}
    assert upstream.turns[0].header("session-id") == upstream.turns[1].header("session-id")
    assert metadata[0]["x-codex-installation-id"] != metadata[1]["x-codex-installation-id"], (
        "each login has a device of its own"
    )
    row = gateway.exchange()
    assert (row.status, row.dispatches, row.operator_note) == ("completed", 2, "")
    assert row.credential is not None
    assert row.credential.account_id == BOB.account_id
    assert [credential for credential, _ in attempts(gateway)] == [ALICE.email, BOB.email]
    assert attempts(gateway)[1][1] == "answered"


def test_nobody_takes_over_once_output_has_begun(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    upstream.script(faults.cut_after(6))
    with gateway.stream(turn("hello")) as stream:
        events = list(stream.events())
    assert events[-1]["type"] == "response.failed"
    assert "response.output_item.added" in [event["type"] for event in events]
    assert accounts_of(upstream) == [ALICE.account_id]


def test_the_conversation_stays_with_whoever_took_over(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    upstream.script(faults.status(500, SERVER_ERROR))
    first = gateway.say("hello").json["id"]
    gateway.say("go on", previous=first)
    assert accounts_of(upstream) == [ALICE.account_id, BOB.account_id, BOB.account_id]


def test_dispatches_are_bounded(gateway: Gateway, upstream: FakeUpstream, settings: Settings) -> None:
    settings.FLOWAY_MAX_DISPATCHES = 2
    make_credential(BOB)
    make_credential(CAROL)
    upstream.script(faults.status(500, SERVER_ERROR), faults.status(502, SERVER_ERROR))
    reply = gateway.say("hello")
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert accounts_of(upstream) == [ALICE.account_id, BOB.account_id]


def test_a_refusal_of_the_request_is_nobody_elses_chance(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    upstream.script(faults.status(400, {"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_value"}}))
    assert gateway.say("hello").status == 400
    assert len(upstream.turns) == 1


def test_overload_inside_a_success_is_tried_again_with_the_only_credential(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.overloaded())
    with gateway.stream(turn("hello")) as stream:
        events = list(stream.events())
    assert events[-1]["type"] == "response.completed"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events].count("response.created") == 1
    assert attempts(gateway) == [(ALICE.email, "server_is_overloaded"), (ALICE.email, "answered")]


def test_an_answer_is_held_back_for_a_moment_and_no_longer(
    gateway: Gateway, upstream: FakeUpstream, settings: Settings
) -> None:
    settings.FLOWAY_HOLD_BACK_SECONDS = 0.1
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=2))
    with gateway.stream(turn("hello")) as stream:
        assert stream.next("response.created")
        gate.open()
        assert list(stream.events())[-1]["type"] == "response.completed"


def test_a_usage_limit_inside_a_success_is_429(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.overloaded("usage_limit_reached"))
    reply = gateway.say("hello", stream=True)
    assert (reply.status, reply.error["type"]) == (429, "usage_limit_reached")


# --- ciphertext ---


def test_a_passing_failure_does_not_cost_a_conversation_its_reasoning(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    first = gateway.say("think", include=INCLUDE).json["id"]
    upstream.script(faults.status(500, SERVER_ERROR))
    reply = gateway.say("go on", previous=first)
    assert reply.status == 503
    assert accounts_of(upstream) == [ALICE.account_id] * 2


def test_a_dead_login_costs_it_the_reasoning_and_says_so(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    first = gateway.say("think", include=INCLUDE).json["id"]
    upstream.script(faults.token_invalidated())
    reply = gateway.say("go on", previous=first)
    assert reply.status == 200
    assert reply.headers["x-floway-degraded"] == "1 reasoning items left out"
    assert accounts_of(upstream) == [ALICE.account_id, ALICE.account_id, BOB.account_id]
    assert "reasoning" not in [item["type"] for item in upstream.bodies[2]["input"]]


def test_a_compaction_is_never_moved(gateway: Gateway, upstream: FakeUpstream) -> None:
    body = {"model": "gpt-5.5", "input": [{"type": "message", "role": "user", "content": "a"}, {"type": "compaction_trigger"}]}
    compacted = gateway.post(body).json["id"]
    make_credential(BOB)
    pool(moves_on_usage_limit=True)
    upstream.script(faults.usage_limit_reached(TOMORROW))
    reply = gateway.say("go on", previous=compacted)
    assert (reply.status, reply.error["type"]) == (429, "usage_limit_reached")
    assert accounts_of(upstream) == [ALICE.account_id] * 2


# --- limits ---


def test_nobody_moves_on_because_of_a_usage_limit_unless_the_operator_says_so(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    upstream.script(faults.usage_limit_reached(TOMORROW))
    for _ in range(2):
        reply = gateway.say("hello")
        assert (reply.status, reply.error["type"]) == (429, "usage_limit_reached")
        assert reply.error["resets_at"] == TOMORROW
    assert accounts_of(upstream) == [ALICE.account_id]
    assert attempts(gateway) == [(ALICE.email, "resting")]


def test_with_the_switch_on_another_credential_takes_over(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    pool(moves_on_usage_limit=True)
    upstream.script(faults.usage_limit_reached(TOMORROW))
    assert gateway.say("hello").status == 200
    assert gateway.say("another").status == 200
    assert accounts_of(upstream) == [ALICE.account_id, BOB.account_id, BOB.account_id]
    assert attempts(gateway) == [(ALICE.email, "resting"), (BOB.email, "answered")]


def test_a_spent_pool_is_429_with_the_earliest_reset(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    pool(moves_on_usage_limit=True)
    upstream.script(faults.usage_limit_reached(TOMORROW), faults.usage_limit_reached(IN_AN_HOUR))
    gateway.say("hello")
    reply = gateway.say("hello", stream=True)
    assert reply.status == 429
    assert reply.error["type"] == "usage_limit_reached"
    assert reply.error["resets_at"] == IN_AN_HOUR
    assert 0 < reply.error["resets_in_seconds"] <= 3600
    assert reply.headers["retry-after"] == str(reply.error["resets_in_seconds"])
    assert len(upstream.turns) == 2


def test_a_short_rate_limit_is_429_with_the_seconds_to_wait(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.rate_limited(30))
    gateway.say("hello")
    reply = gateway.say("hello")
    assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
    assert 25 <= int(reply.headers["retry-after"]) <= 30
    assert len(upstream.turns) == 1


def test_a_cool_down_is_never_longer_than_the_environment_allows(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.usage_limit_reached(TOMORROW))
    gateway.say("hello")
    gateway.exchange()
    credential = OAuthCredential.objects.get()
    assert credential.state == "rate_limited"
    assert credential.resets_at == datetime.fromtimestamp(TOMORROW, UTC)
    assert credential.state_until is not None
    assert credential.state_until - timezone.now() <= timedelta(hours=6)


def test_after_a_cool_down_one_request_tries_and_the_others_wait_for_its_answer(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    assert gateway.credential is not None
    upstream.script(faults.usage_limit_reached(IN_AN_HOUR))
    gateway.say("hello")
    rested(gateway.credential)
    gate = faults.Gate()
    upstream.script(held_head(gate))
    with ThreadPoolExecutor(1) as first:
        probing = first.submit(gateway.say, "first")
        assert gate.reached.wait(10)
        assert [gateway.say(f"other {n}").status for n in range(3)] == [429] * 3
        gate.open()
        assert probing.result().status == 200
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == "active"
    assert gateway.say("again").status == 200


def test_a_try_that_finds_the_limit_still_there_begins_the_cool_down_anew(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.credential is not None
    upstream.script(faults.usage_limit_reached(IN_AN_HOUR), faults.usage_limit_reached(TOMORROW))
    gateway.say("hello")
    rested(gateway.credential)
    assert gateway.say("hello").error["resets_at"] == TOMORROW
    assert gateway.say("hello").error["resets_at"] == TOMORROW
    assert len(upstream.turns) == 2


def test_a_try_that_learns_nothing_leaves_the_next_to_another(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.credential is not None
    upstream.script(faults.usage_limit_reached(IN_AN_HOUR), faults.status(500, SERVER_ERROR))
    gateway.say("hello")
    rested(gateway.credential)
    assert gateway.say("hello").status == 503
    assert gateway.say("hello").status == 200


def held_head(gate: faults.Gate) -> Fault:
    """A plain answer whose head waits at a gate."""

    def answer(upstream: FakeUpstream, exchange: Any, account_id: str) -> None:
        gate.reached.set()
        gate.opened.wait(30)
        upstream.respond(exchange, account_id)

    return answer

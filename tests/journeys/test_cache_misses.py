"""A cache that missed is explained by what really went upstream; and who ended a turn is told as it was."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

from accounts.models import OAuthCredential
from responses_app import cache_history
from responses_app.cache_reasons import Cause, Reason
from responses_app.models import Exchange, Snapshot
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.factories import make_credential
from tests.fakes.tokens import BOB
from tests.fakes.upstream import FakeUpstream

LONG = "What was agreed before: " + "delivery on Fridays, invoices by mail, no substitutes. " * 120
TOOLS = [{"type": "function", "name": "stock", "parameters": {"type": "object", "properties": {}}}]
SESSION = {"session_id": "0193f7c0-0000-7000-8000-0000000000aa"}


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def resend(gateway: Gateway, *texts: str, **over: Any) -> None:
    """A caller that sends its whole history anew."""
    body = {"model": "gpt-5.5", "input": [user(text) for text in texts], **over}
    reply = gateway.post(body, **SESSION)
    assert reply.status == 200, reply.body


def why(gateway: Gateway) -> Reason:
    exchange = gateway.exchange()
    return cache_history.reasons([exchange])[exchange.pk]


def test_a_conversation_that_goes_on_finds_its_cache(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say(LONG).json["id"]
    assert why(gateway).cause is Cause.NEW_SESSION
    gateway.say("go on", previous=first)
    assert why(gateway).cause is Cause.NONE


def test_a_changed_history_is_told_by_its_first_changed_item(gateway: Gateway, upstream: FakeUpstream) -> None:
    resend(gateway, "a", LONG, "b")
    resend(gateway, "a", LONG, "b", "c")
    assert why(gateway).cause is Cause.NONE
    resend(gateway, "a", LONG + "!", "b", "c", "d")
    reason = why(gateway)
    assert (reason.cause, reason.position, reason.partial) == (Cause.PREFIX_CHANGED, 1, True)


def test_other_tools_are_told_as_such(gateway: Gateway, upstream: FakeUpstream) -> None:
    resend(gateway, "a", LONG)
    resend(gateway, "a", LONG, "b", tools=TOOLS)
    reason = why(gateway)
    assert (reason.cause, reason.detail) == (
        Cause.PREFIX_CHANGED,
        "Before the first item: the tools are others than in the turn before.",
    )
    fingerprint = (gateway.exchange().preamble or {})["tools"]
    assert "stock" not in fingerprint
    assert len(fingerprint) == 16


def test_another_login_is_told_as_such(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say(LONG).json["id"]
    make_credential(BOB)
    OAuthCredential.objects.filter(pk=gateway.exchange().credential_id).update(state="disabled")
    upstream._prompts.clear()  # the simulation's cache knows sessions, no accounts
    assert gateway.say("go on", previous=first).status == 200
    assert why(gateway).cause is Cause.OTHER_CREDENTIAL


def test_a_cache_that_the_upstream_lost_is_its_own_affair_until_it_is_old(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say(LONG).json["id"]
    upstream._prompts.clear()
    gateway.say("go on", previous=first)
    assert why(gateway).cause is Cause.UPSTREAM
    before = Exchange.objects.order_by("pk")[0]
    Exchange.objects.filter(pk=before.pk).update(finished_at=before.finished_at - timedelta(minutes=30))
    assert why(gateway).cause is Cause.TOO_OLD


def test_after_a_compaction_the_window_is_another(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say(LONG).json["id"]
    body = {"model": "gpt-5.5", "previous_response_id": first}
    compacted = gateway.post(body, path="/v1/responses/compact").json["id"]
    upstream._prompts.clear()
    gateway.say("go on", previous=compacted)
    assert why(gateway).cause is Cause.OTHER_WINDOW


def test_what_the_upstream_refused_was_not_ended_by_the_gateway(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.usage_limit_reached(int(time.time()) + 3600))
    assert gateway.say("hello").status == 429
    refused = gateway.exchange()
    assert (refused.status, refused.ended_by) == ("refused", "upstream_refused")
    assert gateway.post({"model": "gpt-5.5", "input": 7}).status == 400
    assert gateway.exchange().ended_by == "gateway"


def test_attempts_tell_when_they_began(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.unauthorized())
    assert gateway.say("hello").status == 200
    first, second = gateway.exchange().attempts or []
    assert first["at"] <= first["at"] + first["ms"] <= second["at"]
    assert second["at"] + second["ms"] <= (gateway.exchange().total_ms or 0)


def test_a_compaction_without_one_is_not_told_as_completed(gateway: Gateway, upstream: FakeUpstream) -> None:
    plain: dict[str, Any] = {"type": "message", "role": "assistant", "id": "msg_1", "content": []}
    done = {"id": "resp_x", "object": "response", "status": "completed", "output": [plain], "usage": {"input_tokens": 5}}
    upstream.script(
        faults.frames(
            b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_x","output":[]}}\n\n',
            b"event: response.completed\ndata: " + _event(done) + b"\n\n",
        )
    )
    reply = gateway.post({"model": "gpt-5.5", "input": "a"}, path="/v1/responses/compact")
    assert (reply.status, reply.json["error"]["code"]) == (502, "compaction_missing")
    row = gateway.exchange()
    assert (row.status, row.http_status, row.error_code, row.input_tokens) == ("failed", 502, "compaction_missing", 5)
    assert not Snapshot.objects.exists()


def _event(response: dict[str, Any]) -> bytes:
    return json.dumps({"type": "response.completed", "response": response}).encode()

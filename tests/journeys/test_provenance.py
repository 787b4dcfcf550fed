"""Encrypted items go to the login that issued them; what nobody present can read is left out whole, or is a clear error."""

from __future__ import annotations

from typing import Any

from accounts.models import OAuthCredential
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.factories import make_credential
from tests.fakes.tokens import BOB
from tests.fakes.upstream import FakeUpstream

INCLUDE = ["reasoning.encrypted_content"]
UNREADABLE = {
    "error": {"message": "The encrypted content could not be verified.", "code": "invalid_encrypted_content", "type": "x"}
}
TRIGGER = {"type": "compaction_trigger"}


def kinds(body: Any) -> list[str]:
    return [item.get("role") or item["type"] for item in body["input"]]


def history(gateway: Gateway) -> list[Any]:
    first = {"type": "message", "role": "user", "content": "think"}
    reply = gateway.post({"model": "gpt-5.5", "input": [first], "store": False, "include": INCLUDE})
    return [first, *reply.json["output"], {"type": "message", "role": "user", "content": "go on"}]


def lose(credential: OAuthCredential) -> None:
    credential.enter(OAuthCredential.State.NEEDS_SIGN_IN, "gone")


def account_of(upstream: FakeUpstream, turn: int) -> str | None:
    return upstream.turns[turn].header("chatgpt-account-id")


def test_items_go_to_their_issuer_before_anything_else(gateway: Gateway, upstream: FakeUpstream) -> None:
    items = history(gateway)
    make_credential(BOB)
    reply = gateway.post({"model": "gpt-5.5", "input": items, "store": False, "instructions": "another session"})
    assert reply.status == 200
    assert account_of(upstream, 0) == account_of(upstream, 1)
    assert "x-floway-degraded" not in reply.headers


def test_reasoning_of_a_login_that_is_gone_is_left_out_whole_and_said(gateway: Gateway, upstream: FakeUpstream) -> None:
    items = history(gateway)
    make_credential(BOB)
    lose(gateway.credential)
    reply = gateway.post({"model": "gpt-5.5", "input": items, "store": False})
    assert reply.status == 200, reply.body
    assert account_of(upstream, 1) == BOB.account_id
    assert "reasoning" in [item["type"] for item in items]
    assert kinds(upstream.bodies[1]) == ["user", "assistant", "user"]
    assert reply.headers["x-floway-degraded"] == "1 reasoning items left out"
    change = {"kind": "dropped", "field": "input[1]", "reason": "its encrypted content belongs to another login"}
    assert change in gateway.exchange().changes


def test_a_compaction_of_a_login_that_is_gone_is_a_clear_error(gateway: Gateway, upstream: FakeUpstream) -> None:
    body = {"model": "gpt-5.5", "input": [{"type": "message", "role": "user", "content": "a"}, TRIGGER]}
    compacted = gateway.post(body).json["id"]
    make_credential(BOB)
    lose(gateway.credential)
    reply = gateway.say("go on", previous=compacted)
    assert (reply.status, reply.error["code"]) == (503, "compaction_unavailable")
    assert len(upstream.turns) == 1


def test_unknown_ciphertext_passes_and_is_left_out_once_if_it_is_refused(gateway: Gateway, upstream: FakeUpstream) -> None:
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "from elsewhere"}
    items = [{"role": "user", "content": "a"}, foreign, {"role": "user", "content": "b"}]
    upstream.script(faults.status(400, UNREADABLE))
    reply = gateway.post({"model": "gpt-5.5", "input": items})
    assert reply.status == 200, reply.body
    assert kinds(upstream.bodies[0]) == ["user", "reasoning", "user"]
    assert kinds(upstream.bodies[1]) == ["user", "user"]
    assert upstream.bodies[0]["client_metadata"]["turn_id"] == upstream.bodies[1]["client_metadata"]["turn_id"]
    upstream.script(faults.status(400, UNREADABLE), faults.status(400, UNREADABLE))
    again = gateway.post({"model": "gpt-5.5", "input": items})
    assert (again.status, len(upstream.turns)) == (400, 4)

"""Turn ids and the state that the upstream gives a turn: the same for its follow-ups, never another turn's or another key's."""

from __future__ import annotations

import json
from typing import Any

from accounts import keys
from responses_app.models import Keepsake
from tests.conftest import Gateway
from tests.fakes.upstream import FakeUpstream

ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}
CLI = {
    "originator": "codex_exec",
    "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)",
}


def turn_of(upstream: FakeUpstream, index: int) -> str:
    return str(upstream.bodies[index]["client_metadata"]["turn_id"])


def state_of(upstream: FakeUpstream, index: int) -> str | None:
    return upstream.turns[index].header("x-codex-turn-state")


def tool_output(response: Any) -> dict[str, Any]:
    call = next(item for item in response["output"] if item["type"] == "function_call")
    return {"type": "function_call_output", "call_id": call["call_id"], "output": "3"}


def ask_for_a_tool(gateway: Gateway, **headers: str) -> Any:
    reply = gateway.post({"model": "gpt-5.5", "input": "call add", "tools": [ADD]}, **headers)
    assert reply.status == 200, reply.body
    return reply


def follow_up(gateway: Gateway, response: Any, **headers: str) -> Any:
    body = {"model": "gpt-5.5", "input": [tool_output(response)], "tools": [ADD], "previous_response_id": response["id"]}
    return gateway.post(body, **headers)


def test_a_tools_answer_belongs_to_the_users_turn_and_shows_its_state_again(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "state-1"
    first = ask_for_a_tool(gateway).json
    follow_up(gateway, first)
    gateway.say("something else", previous=first["id"])
    assert turn_of(upstream, 0) == turn_of(upstream, 1) != turn_of(upstream, 2)
    assert [state_of(upstream, n) for n in range(3)] == [None, "state-1", None]
    started = [json.loads(turn.header("x-codex-turn-metadata") or "{}")["turn_started_at_unix_ms"] for turn in upstream.turns]
    assert started[0] == started[1]


def test_turn_state_is_sealed_at_rest(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "SENTINEL-STATE"
    ask_for_a_tool(gateway)
    assert b"SENTINEL" not in bytes(Keepsake.objects.get().sealed)


def test_an_official_caller_is_given_the_state_and_others_are_not(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "state-1"
    assert ask_for_a_tool(gateway, **CLI).headers["x-codex-turn-state"] == "state-1"
    assert "x-codex-turn-state" not in ask_for_a_tool(gateway).headers


def test_a_callers_own_state_never_goes_out(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.post({"model": "gpt-5.5", "input": "hi"}, **CLI, **{"x-codex-turn-state": "forged"})
    gateway.post({"model": "gpt-5.5", "input": "hi", "client_metadata": {"x-codex-turn-state": "forged"}}, **CLI)
    assert [state_of(upstream, n) for n in range(2)] == [None, None]
    assert all("x-codex-turn-state" not in body["client_metadata"] for body in upstream.bodies)


def test_another_keys_turn_of_the_same_name_has_no_state(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "state-1"
    session, turn = "01a2063f-a656-7a81-9d23-6f5dfedef29e", "01a2063f-a656-7a81-9d23-6f5dfedef29f"
    body = {"model": "gpt-5.5", "input": "hi", "client_metadata": {"session_id": session, "turn_id": turn}}
    gateway.post(body)
    gateway.post(body)
    gateway.caller(keys.issue("other").secret).post(body)
    assert [state_of(upstream, n) for n in range(3)] == [None, "state-1", None]

"""Continuing: what `previous_response_id` brings back, and what reaches the upstream."""

from __future__ import annotations

from typing import Any

from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import text_of, turn
from tests.fakes.upstream import FakeUpstream

ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


def kinds(body: Any) -> list[str]:
    return [item.get("role") or item["type"] for item in body["input"] if item.get("type") != "reasoning"]


def window(upstream: FakeUpstream, turn: int) -> str | None:
    return (upstream.turns[turn].header("x-codex-window-id") or "").rpartition(":")[2]


def session(upstream: FakeUpstream, turn: int) -> str | None:
    return upstream.turns[turn].header("session-id")


def test_a_continuation_brings_back_what_was_said(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say("My name is Ada.").json
    second = gateway.say("What is my name?", previous=first["id"])
    assert second.status == 200, second.body
    assert "My name is Ada." in text_of(second.json)
    assert second.json["previous_response_id"] == first["id"]
    assert kinds(upstream.bodies[1]) == ["user", "assistant", "user"]
    assert "previous_response_id" not in upstream.bodies[1]


def test_a_continuation_keeps_session_and_window_and_has_a_turn_of_its_own(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say("one").json
    gateway.say("two", previous=first["id"])
    assert session(upstream, 0) == session(upstream, 1)
    assert (window(upstream, 0), window(upstream, 1)) == ("0", "0")
    turns = [body["client_metadata"]["turn_id"] for body in upstream.bodies]
    assert turns[0] != turns[1]


def test_a_continued_prompt_is_cached_upstream(gateway: Gateway) -> None:
    first = gateway.say("one").json
    second = gateway.say("two", previous=first["id"]).json
    assert second["usage"]["input_tokens_details"]["cached_tokens"] > 0
    assert gateway.exchange().cached_tokens == second["usage"]["input_tokens_details"]["cached_tokens"]


def test_a_tool_is_called_and_answered_within_one_turn(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say('call add with {"a": 1}', tools=[ADD]).json
    call = next(item for item in first["output"] if item["type"] == "function_call")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    second = gateway.post(turn("", input=[output], tools=[ADD], previous_response_id=first["id"])).json
    assert "The tool answered: 42" in text_of(second)
    assert kinds(upstream.bodies[1]) == ["user", "function_call", "function_call_output"]
    turns = [body["client_metadata"]["turn_id"] for body in upstream.bodies]
    assert turns[0] == turns[1]


def test_a_fork_gets_a_window_of_its_own(gateway: Gateway, upstream: FakeUpstream) -> None:
    root = gateway.say("root").json
    gateway.say("left", previous=root["id"])
    right = gateway.say("right", previous=root["id"]).json
    gateway.say("right again", previous=right["id"])
    assert [window(upstream, number) for number in range(4)] == ["0", "0", "1", "1"]
    assert len({session(upstream, number) for number in range(4)}) == 1
    assert "left" not in str(upstream.bodies[3]["input"])


def test_who_continues_as_soon_as_the_terminal_event_is_there_finds_the_response(gateway: Gateway) -> None:
    with gateway.stream(turn("one")) as stream:
        completed = stream.next("response.completed")
        assert gateway.say("two", previous=completed["response"]["id"]).status == 200


def test_a_response_that_was_not_stored_cannot_be_continued(gateway: Gateway) -> None:
    first = gateway.say("one", store=False).json
    assert first["store"] is False
    second = gateway.say("two", previous=first["id"])
    assert (second.status, second.error["code"]) == (400, "previous_response_not_found")


def test_a_failed_turn_leaves_no_trace_on_its_parent(gateway: Gateway, upstream: FakeUpstream) -> None:
    root = gateway.say("root").json
    upstream.script(faults.cut_after(4))
    with gateway.stream(turn("broken", previous=root["id"])) as stream:
        failed = list(stream.events())[-1]
    assert failed["type"] == "response.failed"
    gateway.exchange()
    gateway.say("again", previous=root["id"])
    assert window(upstream, 2) == "0"
    assert "broken" not in str(upstream.bodies[2]["input"])
    assert gateway.say("more", previous=failed["response"]["id"]).error["code"] == "previous_response_not_found"


def test_a_caller_that_sends_its_history_anew_keeps_its_session(gateway: Gateway, upstream: FakeUpstream) -> None:
    history: list[Any] = [{"role": "user", "content": "one"}]
    history += gateway.post(turn("", input=history, store=False)).json["output"]
    history.append({"role": "user", "content": "two"})
    assert gateway.post(turn("", input=history, store=False)).status == 200
    assert session(upstream, 0) == session(upstream, 1)
    assert window(upstream, 1) == "0"


def test_two_keys_with_the_same_beginning_do_not_share_a_session(gateway: Gateway, upstream: FakeUpstream) -> None:
    from tests.fakes.factories import make_key

    gateway.say("hello")
    gateway.caller(make_key("other").secret).say("hello")
    assert session(upstream, 0) != session(upstream, 1)


def test_a_session_that_the_caller_states_is_used_on_every_surface(gateway: Gateway, upstream: FakeUpstream) -> None:
    stated = "0198f2a0-0000-7000-8000-00000000abcd"
    gateway.post(turn("one"), session_id=stated)
    gateway.send("POST", "/v1/responses", b'{"model":"gpt-5.5","input":"two"}', gateway.headers({}) | {"session_id": stated})
    assert [session(upstream, number) for number in range(2)] == [stated, stated]
    assert upstream.bodies[0]["prompt_cache_key"] == stated


def test_a_cache_key_of_the_callers_is_kept(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.distinct_ids = True
    reply = gateway.say("hello", prompt_cache_key="mine")
    assert upstream.bodies[0]["prompt_cache_key"] == reply.json["prompt_cache_key"] == "mine"


def test_a_compaction_replaces_what_was_said_and_opens_the_next_window(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say("one").json
    trigger = turn("", input=[{"type": "compaction_trigger"}], previous_response_id=first["id"])
    compacted = gateway.post(trigger)
    assert compacted.status == 200, compacted.body
    gateway.say("two", previous=compacted.json["id"])
    assert [window(upstream, number) for number in range(3)] == ["0", "0", "1"]
    assert kinds(upstream.bodies[2]) == ["user", "compaction", "user"]

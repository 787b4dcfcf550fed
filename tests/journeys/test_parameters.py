"""Every documented parameter is honoured, dropped and named, or refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsBase, ResponseCreateParamsStreaming

from tests.conftest import Gateway
from tests.fakes.caller import turn
from tests.fakes.upstream import FakeUpstream

PAGE = Path(__file__).resolve().parents[2] / "docs/parameters.md"
VALUES: dict[str, Any] = {
    "access_programs": {"cyber": "standard"}, "background_options": {"completion_window": "2h"},
    "context_management": [{"type": "compaction"}], "image": {"context_compression": "auto"},
    "include": ["message.output_text.logprobs"], "instructions": "Be brief.", "max_output_tokens": 100, "max_tool_calls": 3,
    "metadata": {"a": "b"}, "moderation": {"model": "omni-moderation-latest"}, "parallel_tool_calls": False,
    "prompt": {"id": "pmpt_1"}, "prompt_cache_key": "mine", "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h", "reasoning": {"effort": "low"}, "safety_identifier": "s", "service_tier": "priority",
    "stream_options": {"include_obfuscation": False}, "temperature": 0.5,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}, "tool_choice": "none",
    "tools": [{"type": "web_search"}], "top_logprobs": 3, "top_p": 0.5, "truncation": "auto", "user": "u",
}  # fmt: skip


def rows() -> dict[str, str]:
    found = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    return dict(found)


def test_the_page_speaks_of_every_documented_parameter() -> None:
    documented = {*ResponseCreateParamsBase.__annotations__, *ResponseCreateParamsStreaming.__annotations__}
    assert set(rows()) == documented


@pytest.mark.parametrize("name", VALUES)
def test_a_parameter_fares_as_the_page_says(gateway: Gateway, upstream: FakeUpstream, name: str) -> None:
    upstream.distinct_ids = True
    reply, kind = gateway.post({**turn("hello"), name: VALUES[name]}), rows()[name]
    if kind == "400":
        assert (reply.status, reply.error["param"]) == (400, name)
        return
    assert reply.status == 200, reply.body
    assert reply.headers.get("x-floway-dropped-parameters") == (name if kind == "dropped" else None)
    sent = upstream.bodies[0]
    if kind != "passed":
        assert name not in sent
    elif name == "include":
        assert set(VALUES[name]) <= set(sent[name])
    elif name != "instructions":
        assert sent[name] == VALUES[name]
    if name in reply.json and name not in {"service_tier", "reasoning", "text"}:
        assert reply.json[name] == VALUES[name]


def test_a_dropped_parameter_is_refused_by_name_where_the_key_is_strict(gateway: Gateway) -> None:
    from tests.fakes.factories import make_key

    strict = gateway.caller(make_key("strict", strict=True).secret)
    for name in (name for name, kind in rows().items() if kind == "dropped"):
        reply = strict.post({**turn("hello"), name: VALUES[name]})
        assert (reply.status, reply.error["param"]) == (400, name)
    assert strict.say("hello", truncation="disabled", metadata={"a": "b"}).status == 200


def test_a_null_is_as_good_as_nothing(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.distinct_ids = True
    nulls = dict.fromkeys(name for name in rows() if name not in {"model", "input"})
    item = {"type": None, "role": "user", "content": "hello"}
    reply = gateway.post({**nulls, "model": "gpt-5.5", "input": [item]})
    assert reply.status == 200, reply.body
    assert "x-floway-dropped-parameters" not in reply.headers
    assert "type" not in upstream.bodies[0]["input"][0]
    assert gateway.post({"model": "gpt-5.5", "input": None}).status == 200


def test_what_the_upstream_refuses_is_refused_by_its_name(gateway: Gateway, upstream: FakeUpstream) -> None:
    from tests.fakes import faults

    upstream.script(faults.status(400, {"detail": "Unsupported parameter: max_tool_calls"}))
    reply = gateway.say("hello", max_tool_calls=3)
    assert (reply.status, reply.error["param"]) == (400, "max_tool_calls")


# --- item references ---


def reference(item: Any) -> dict[str, str]:
    return {"type": "item_reference", "id": item["id"]}


def test_a_caller_may_name_items_of_its_conversation(gateway: Gateway, upstream: FakeUpstream) -> None:
    history: list[Any] = [{"role": "user", "content": "one"}]
    for text in ("two", "three"):
        output = gateway.post(turn("", input=history)).json["output"]
        history += [reference(output[0]), {"id": output[1]["id"]}, {"role": "user", "content": text}]
    assert gateway.post(turn("", input=history)).status == 200
    said = [item.get("type", "message") for item in upstream.bodies[2]["input"]]
    assert said == ["message", *["reasoning", "message", "message"] * 2]
    assert len({body["client_metadata"]["session_id"] for body in upstream.bodies}) == 1
    assert gateway.exchange().known_items == 6


def test_an_item_may_be_named_behind_a_continued_response(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.say("one").json
    named = reference(first["output"][-1])
    assert gateway.post(turn("", input=[named], previous_response_id=first["id"])).status == 200
    assert upstream.bodies[1]["input"][-1]["content"] == upstream.bodies[1]["input"][-2]["content"]


def test_an_unknown_item_and_another_keys_are_not_found(gateway: Gateway) -> None:
    from tests.fakes.factories import make_key

    hello = {"role": "user", "content": "hello"}
    made = gateway.post(turn("", input=[hello])).json
    other = gateway.caller(make_key("other").secret)
    other.post(turn("", input=[hello]))
    for caller, item in ((gateway, {"id": "msg_unknown"}), (other, made["output"][-1])):
        reply = caller.post(turn("", input=[hello, reference(item)]))
        message = f"Item with id '{item['id']}' not found."
        assert (reply.status, reply.error["param"], reply.error["message"]) == (404, "input[1].id", message)


def test_looking_for_an_item_opens_no_more_than_a_bound(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    from responses_app import references

    hello = {"role": "user", "content": "hello"}
    first = gateway.post(turn("", input=[hello])).json
    left = gateway.say("one branch", previous=first["id"]).json["output"][-1]
    gateway.say("another branch", previous=first["id"])
    asked = turn("", input=[reference(left)], previous_response_id=first["id"])
    monkeypatch.setattr(references, "_MOST_BYTES", 0)
    assert gateway.post(asked).status == 404
    monkeypatch.undo()
    assert gateway.post(asked).status == 200

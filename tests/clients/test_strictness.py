"""Events and objects, as they are on the wire, against the OpenAI SDK's types: nothing missing, mistyped, or unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.fakes import faults
from tests.fakes.caller import Caller
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.sdk

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_BEYOND = {"frequency_penalty", "presence_penalty", "store", "status"}
"""What the public API says all the same: of a Response, and (the last) of a custom tool's call."""
_TOOLS: Any = [
    {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "shell", "description": "Runs."},
]
BODIES: dict[str, Any] = {
    "text": {"input": "Hello"},
    "a function call": {"input": 'call add with {"a": 1}', "tools": _TOOLS},
    "a custom tool call": {"input": 'call shell with {"ls": 1}', "tools": _TOOLS},
    "reasoning": {"input": "Hello", "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}},
    "everything echoed": {"input": "Hello", "metadata": {"a": "b"}, "temperature": 0.5, "user": "me", "top_logprobs": 2},
    "structured": {
        "input": "Hello",
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object", "properties": {}}}},
    },
    "background": {"input": "Hello", "background": True},
}


def strange(value: Any) -> Iterator[str]:
    """Members that no type of the SDK has."""
    if isinstance(value, BaseModel):
        yield from (name for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from strange(getattr(value, name))
    elif isinstance(value, list):
        for inner in value:
            yield from strange(inner)


def checked(event: Any) -> str:
    """Its type, once it has passed: as an event, and the event's own type has nothing that the SDK does not know."""
    passed = _EVENT.validate_json(json.dumps(event))
    assert passed.type == event["type"]
    assert set(strange(passed)) <= _BEYOND, event
    return str(passed.type)


@pytest.mark.parametrize("name", BODIES)
def test_events_and_objects_are_the_sdks_own(served_caller: Caller, name: str) -> None:
    body = {"model": "gpt-5.5", **BODIES[name]}
    with served_caller.stream(body) as stream:
        seen = [checked(event) for event in stream.events()]
    assert seen[0] == "response.created"
    assert seen[-1] == "response.completed"
    if "background" in body:
        return  # it would go on behind the next test
    whole = Response.model_validate_json(served_caller.post(body).body)
    assert set(strange(whole)) <= _BEYOND


def test_the_events_of_an_answer_that_breaks_off_are_too(served_caller: Caller, upstream: FakeUpstream) -> None:
    upstream.script(faults.cut_after(6))
    with served_caller.stream({"model": "gpt-5.5", "input": "Hello"}) as stream:
        assert [checked(event) for event in stream.events()][-1] == "response.failed"

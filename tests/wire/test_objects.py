"""Objects that the official SDK's own types accept, echoing the caller and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from openai._models import construct_type
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from floway.wire.events import COMPLETED, CREATED, FAILED, Usage, count, event_type, usage_of
from floway.wire.objects import (
    PUBLIC_RESPONSE_KEYS,
    complete_error,
    complete_item,
    complete_part,
    complete_response,
    echoed,
    opened_item,
)
from floway.wire.sse import Frame
from tests.wire.streams import (
    COMPACT_ITEMS,
    USAGE,
    call,
    delta,
    done,
    events_of,
    full_turn,
    lifecycle,
    message,
    numbered,
    relayed,
    unnumbered,
)

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FUNCTION = {"type": "function", "name": "look"}
MINIMAL = unnumbered(done(message("Hello", None)), done(call("{}", None), 1), lifecycle("response.completed"))
STREAMS = {
    "a well-behaved upstream": numbered(*full_turn("He", "llo")),
    "the least an upstream may send": MINIMAL,
    "deltas out of nowhere": unnumbered(delta("Hello", None), done(message("Hello", None)), lifecycle("response.completed")),
    "every kind of item": unnumbered(*(done(item, n) for n, item in enumerate(COMPACT_ITEMS)), lifecycle("response.completed")),
    "an error event": numbered({"type": "error", "code": "server_error", "message": "no"}),
    "a failure": numbered(lifecycle("response.failed", error={"code": "server_error", "message": "no"})),
    "an incomplete answer": numbered(
        done(message("Hello")),
        lifecycle("response.incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=USAGE),
    ),
}


def make_response(request: dict[str, Any] | None = None, event: str = COMPLETED, **upstream: Any) -> dict[str, Any]:
    base = echoed({"model": "m"} | (request or {}))
    return complete_response(base, event, upstream, response_id="resp_1", created_at=1, completed_at=9, output=[])


# --- the official SDK ---


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_the_sdks_strict_types_take_every_event(stream: bytes) -> None:
    for payload in events_of(relayed(stream)):
        event = EVENT.validate_python(payload)
        assert type(event).model_fields["type"].annotation.__args__ == (payload["type"],)
        if "response" in payload:
            Response.model_validate(payload["response"], strict=True)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_the_sdk_accumulates_the_stream(stream: bytes) -> None:
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    seen = []
    for payload in events_of(relayed(stream)):
        event: Any = construct_type(type_=ResponseStreamEvent, value=payload)
        seen += state.handle_event(event)
    last: Any = seen[-1]
    assert last.type in {"response.completed", "response.failed", "response.incomplete"}
    if any(b'"Hello"' in part or b'"llo"' in part for part in stream.split(b"\n")):
        assert last.response.output_text == "Hello"


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {
            "instructions": "be brief",
            "tools": [FUNCTION, {"type": "web_search"}],
            "tool_choice": {"type": "function", "name": "look"},
            "text": {"verbosity": "low"},
            "reasoning": {"effort": "high", "summary": "auto"},
            "metadata": {"k": "v"},
            "store": False,
            "temperature": 0.2,
            "top_p": 0.5,
            "max_output_tokens": 5,
            "truncation": "auto",
            "parallel_tool_calls": False,
            "service_tier": "priority",
            "previous_response_id": "resp_0",
            "user": "u",
        },
        {key: None for key in PUBLIC_RESPONSE_KEYS if key != "model"},
    ],
)
@pytest.mark.parametrize("event", [CREATED, COMPLETED, FAILED])
def test_the_sdks_strict_type_takes_every_object(request_: dict[str, Any], event: str) -> None:
    response = make_response(request_, event, usage=USAGE, error={"code": "server_error", "message": "x"})
    assert list(response)[: len(PUBLIC_RESPONSE_KEYS)] == list(PUBLIC_RESPONSE_KEYS)
    assert len(PUBLIC_RESPONSE_KEYS) == 31
    Response.model_validate(response, strict=True)


# --- what is echoed ---


def test_defaults_stand_where_the_caller_said_nothing() -> None:
    response = make_response({"store": None})
    expected = {
        "tool_choice": "auto",
        "truncation": "disabled",
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        "top_p": 1.0,
        "temperature": 1.0,
        "metadata": {},
        "store": True,
        "background": False,
        "tools": [],
        "service_tier": "auto",
    }
    assert {key: response[key] for key in expected} == expected
    assert "user" not in response


def test_function_tools_are_echoed_with_all_their_keys_and_the_callers_values() -> None:
    strict = FUNCTION | {"strict": True, "parameters": {"type": "object"}, "extra": 1}
    response = make_response({"tools": [FUNCTION, strict, {"type": "web_search"}, "garbage"]})
    assert response["tools"] == [
        FUNCTION | {"description": None, "parameters": None, "strict": None},
        strict | {"description": None},
        {"type": "web_search"},
        "garbage",
    ]


def test_status_timing_usage_tier_and_effort_come_from_the_upstream() -> None:
    response = make_response(
        {"service_tier": "auto", "reasoning": {"summary": "auto"}},
        completed_at=9.0,
        usage=USAGE | {"vendor": 1},
        service_tier="default",
        reasoning={"effort": "medium", "context": "all_turns"},
    )
    assert (response["status"], response["completed_at"], response["service_tier"]) == ("completed", 9, "default")
    assert response["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert response["usage"]["total_tokens"] == 18
    assert "vendor" not in response["usage"]


@pytest.mark.parametrize("tools", [None, "x", 5, {}])
@pytest.mark.parametrize("text", [None, "x", 5, []])
def test_a_request_that_makes_no_sense_is_echoed_without_a_crash(tools: Any, text: Any) -> None:
    assert make_response({"tools": tools, "text": text, "reasoning": 5, "metadata": []})["tools"] == []


def test_echoing_never_changes_the_request() -> None:
    request: dict[str, Any] = {"model": "m", "tools": [dict(FUNCTION)], "text": {"verbosity": "low"}}
    echoed(request)
    assert request == {"model": "m", "tools": [FUNCTION], "text": {"verbosity": "low"}}


# --- items and parts ---


@pytest.mark.parametrize("kind", ["reasoning", "compaction", "additional_tools", "mcp_list_tools"])
def test_items_without_a_public_status_get_none(kind: str) -> None:
    assert "status" not in complete_item({"type": kind}, "x_1", "completed")


@pytest.mark.parametrize(
    "item", [{}, {"type": 5}, {"type": "message", "content": "x"}, {"type": "message", "content": [None, 5]}]
)
def test_items_that_make_no_sense_are_completed_without_a_crash(item: dict[str, Any]) -> None:
    assert complete_item(item, "x_1", "completed")["id"] == "x_1"
    assert opened_item(item) is not item


def test_what_an_item_says_is_kept() -> None:
    item = {"type": "message", "status": "incomplete", "phase": "commentary", "vendor": {"turn": 1}, "content": []}
    assert complete_item(item, "msg_1", "completed") == item | {"id": "msg_1", "role": "assistant"}


@pytest.mark.parametrize("part", [None, 5, {"type": "refusal", "refusal": "no"}, {"type": ["x"]}])
def test_parts_that_are_no_text_stay_as_they_are(part: Any) -> None:
    assert complete_part(part) == part


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, "server_error"),
        ([], "server_error"),
        ({"code": None, "type": "a"}, "a"),
        ({"code": "b", "type": "a"}, "b"),
        ({"code": ""}, "server_error"),
    ],
)
def test_an_error_has_a_code_and_a_message(error: Any, code: str) -> None:
    complete = complete_error(error)
    assert complete["code"] == code
    assert complete["message"]


# --- names and counts ---


@pytest.mark.parametrize("bad", [None, "7", -1, 1.5, True, [], {}, 2**63, float("nan"), float("inf")])
def test_what_is_no_count_counts_as_unsaid(bad: Any) -> None:
    assert count(bad) is None
    usage = {"input_tokens": bad, "input_tokens_details": bad, "output_tokens_details": {"reasoning_tokens": bad}}
    assert usage_of({"usage": usage}) == Usage()
    response = make_response(usage=usage)
    assert response["usage"]["total_tokens"] == 0
    Response.model_validate(response, strict=True)


@pytest.mark.parametrize("response", [None, [], {}, {"usage": None}, {"usage": 5}])
def test_a_response_without_usage_has_unknown_usage(response: Any) -> None:
    assert usage_of(response) == Usage()


@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        ("response.a", b'{"type":"response.b"}', "response.a"),
        (None, b'{"type":"response.b"}', "response.b"),
        (None, b' {"type":"response.b"}', "response.b"),
        (None, b'{"type":5}', None),
        (None, b"[DONE]", None),
        (None, None, None),
    ],
)
def test_an_event_is_called_by_its_line_or_else_by_its_data(
    event: str | None, data: bytes | None, expected: str | None
) -> None:
    assert event_type(Frame(b"", event, data)) == expected

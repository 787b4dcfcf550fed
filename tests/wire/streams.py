"""Upstream streams as bytes, made from plain values, and a relay to put them through."""

from __future__ import annotations

import itertools
import json
from typing import Any

from floway.wire.fold import Echo, Relay
from floway.wire.sse import FrameDecoder

GATEWAY_ID = "resp_gateway"
FINISHED_AT = 1_700_000_009
USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 18,
}
# What an upstream says about its own request and no caller may see.
LEAKS = {
    "instructions": "INJECTED",
    "safety_identifier": "user-LEAKED",
    "store": False,
    "prompt_cache_key": "LEAKED",
    "metadata": {"x": "LEAKED"},
    "tools": [{"type": "LEAKED"}],
    "vendor_extra": "LEAKED",
}
# One of each kind of item, with as little as its public type allows an upstream to leave to the gateway.
COMPACT_ITEMS: list[dict[str, Any]] = [
    {"type": "reasoning"},
    {"type": "message", "content": [{"type": "output_text"}, {"type": "refusal", "refusal": "no"}]},
    {"type": "function_call", "call_id": "call_1", "name": "look"},
    {"type": "custom_tool_call", "call_id": "call_2", "name": "run", "input": "ls"},
    {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
    {"type": "compaction", "encrypted_content": "opaque"},
]


def frame(event: str | None, data: Any = None, *, end: str = "\n") -> bytes:
    lines = [] if event is None else [f"event: {event}"]
    if data is not None:
        lines.append("data: " + (data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))))
    return (end.join(lines) + end * 2).encode()


def numbered(*payloads: dict[str, Any], first: int = 0, end: str = "\n") -> bytes:
    return b"".join(
        frame(payload["type"], {**payload, "sequence_number": number}, end=end)
        for number, payload in enumerate(payloads, first)
    )


def unnumbered(*payloads: dict[str, Any]) -> bytes:
    return b"".join(frame(payload["type"], payload) for payload in payloads)


def lifecycle(kind: str, **response: Any) -> dict[str, Any]:
    status = kind.removeprefix("response.").replace("created", "in_progress")
    return {
        "type": kind,
        "response": {"id": "resp_upstream", "object": "response", "status": status, "model": "upstream-model", "output": []}
        | LEAKS
        | response,
    }


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def message(text: str | None = None, item_id: str | None = "msg_1", **over: Any) -> dict[str, Any]:
    content = [] if text is None else [{"type": "output_text", "text": text}]
    item = {"type": "message", "role": "assistant", "content": content} | over
    return item if item_id is None else {"id": item_id} | item


def call(arguments: str = "{}", item_id: str | None = "fc_1", **over: Any) -> dict[str, Any]:
    item = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": arguments} | over
    return item if item_id is None else {"id": item_id} | item


def part(kind: str, text: str = "", item_id: str = "msg_1", index: int = 0) -> dict[str, Any]:
    return {
        "type": f"response.content_part.{kind}",
        "content_index": 0,
        "item_id": item_id,
        "output_index": index,
        "part": {"type": "output_text", "text": text},
    }


def delta(text: str, item_id: str | None = "msg_1", index: int = 0, **over: Any) -> dict[str, Any]:
    payload = {"type": "response.output_text.delta", "content_index": 0, "delta": text, "logprobs": [], "output_index": index}
    return payload | ({} if item_id is None else {"item_id": item_id}) | over


def full_turn(*texts: str) -> list[dict[str, Any]]:
    """A well-behaved turn: reasoning, then one message, then a call."""
    whole = "".join(texts)
    return [
        lifecycle("response.created"),
        lifecycle("response.in_progress"),
        added({"id": "rs_1", "type": "reasoning", "summary": []}, 0),
        done({"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "opaque"}, 0),
        added(message(None), 1),
        part("added", index=1),
        *(delta(text, index=1) for text in texts),
        {
            "type": "response.output_text.done",
            "content_index": 0,
            "item_id": "msg_1",
            "logprobs": [],
            "output_index": 1,
            "text": whole,
        },
        part("done", whole, index=1),
        done(message(whole), 1),
        added(call(""), 2),
        {"type": "response.function_call_arguments.delta", "delta": '{"a":1}', "item_id": "fc_1", "output_index": 2},
        {
            "type": "response.function_call_arguments.done",
            "arguments": '{"a":1}',
            "item_id": "fc_1",
            "output_index": 2,
            "name": "look",
        },
        done(call('{"a":1}'), 2),
        lifecycle("response.completed", usage=USAGE, completed_at=1_700_000_009),
    ]


def make_relay(**over: Any) -> Relay:
    numbers = itertools.count(1)
    request = {"model": "asked-model", "input": "hi"} | over.pop("request", {})
    return Relay(
        Echo(GATEWAY_ID, 1_700_000_000, request, lambda prefix: f"{prefix}_minted{next(numbers)}", lambda: FINISHED_AT), **over
    )


def relayed(stream: bytes, relay: Relay | None = None) -> bytes:
    """Everything the caller gets, the terminal frame included if there is one."""
    relay = relay or make_relay()
    out = relay.feed(stream)
    return out + relay.finish() if relay.terminal else out


def events_of(stream: bytes) -> list[dict[str, Any]]:
    frames = FrameDecoder().feed(stream)
    payloads = [json.loads(each.data or b"") for each in frames]
    assert [each.event for each in frames] == [payload["type"] for payload in payloads]
    return payloads


def types_of(stream: bytes) -> list[str]:
    return [payload["type"].removeprefix("response.") for payload in events_of(stream)]


def assert_numbered(stream: bytes) -> None:
    numbers = [payload["sequence_number"] for payload in events_of(stream)]
    assert numbers == list(range(len(numbers)))

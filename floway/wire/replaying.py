"""A whole response as the stream that it would have been: each item announced, told in one piece, and done. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from floway.wire import events
from floway.wire.json import JSON, JSONObject
from floway.wire.objects import opened_item, opened_part
from floway.wire.sse import encode

_TERMINALS = {"completed": events.COMPLETED, "incomplete": events.INCOMPLETE}
_ARGUMENTS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}
_TEXTS = {"output_text": ("response.output_text", "text"), "refusal": ("response.refusal", "refusal")}


def stream_of(response: JSONObject) -> Iterator[bytes]:
    """The frames of a finished response, the terminal one last."""
    for number, event in enumerate(_events(response)):
        yield encode(event["type"], {**event, "sequence_number": number})


def _events(response: JSONObject) -> Iterator[dict[str, Any]]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None, "incomplete_details": None}
    yield {"type": events.CREATED, "response": begun}
    yield {"type": events.IN_PROGRESS, "response": begun}
    for index, item in enumerate(response["output"]):
        yield {"type": events.ITEM_ADDED, "output_index": index, "item": opened_item(item)}
        yield from _of_item({"output_index": index, "item_id": item.get("id")}, item)
        yield {"type": events.ITEM_DONE, "output_index": index, "item": item}
    yield {"type": _TERMINALS.get(response["status"], events.FAILED), "response": response}


def _of_item(place: dict[str, Any], item: JSON) -> Iterator[dict[str, Any]]:
    kind = item.get("type")
    if kind in _ARGUMENTS:
        prefix, key = _ARGUMENTS[kind]
        yield {"type": f"{prefix}.delta", **place, "delta": item.get(key, "")}
        named = {"name": item.get("name", "")} if kind == "function_call" else {}
        yield {"type": f"{prefix}.done", **place, key: item.get(key, ""), **named}
    elif kind == "message":
        for number, part in enumerate(item["content"]):
            yield from _of_part({**place, "content_index": number}, part)


def _of_part(place: dict[str, Any], part: JSON) -> Iterator[dict[str, Any]]:
    kind = part.get("type")
    if kind not in _TEXTS:
        yield {"type": events.PART_ADDED, **place, "part": part}
    else:
        prefix, key = _TEXTS[kind]
        logprobs = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
        yield {"type": events.PART_ADDED, **place, "part": opened_part(kind)}
        yield {"type": f"{prefix}.delta", **place, "delta": part[key], **logprobs}
        yield {"type": f"{prefix}.done", **place, key: part[key], **logprobs}
    yield {"type": events.PART_DONE, **place, "part": part}

"""The events of a Responses stream: their names, what an event is called, and what a response's usage says."""

from __future__ import annotations

from dataclasses import dataclass

from floway.wire.json import JSON, InvalidJSON, mend
from floway.wire.sse import Frame, InvalidFrame

CREATED = "response.created"
QUEUED = "response.queued"
IN_PROGRESS = "response.in_progress"
COMPLETED = "response.completed"
INCOMPLETE = "response.incomplete"
FAILED = "response.failed"
ERROR = "error"
ITEM_ADDED = "response.output_item.added"
ITEM_DONE = "response.output_item.done"
PART_ADDED = "response.content_part.added"
PART_DONE = "response.content_part.done"

OPENING = frozenset({CREATED, QUEUED, IN_PROGRESS})
TERMINAL = frozenset({COMPLETED, INCOMPLETE, FAILED})
LIFECYCLE = OPENING | TERMINAL

_PUBLIC_PREFIX = "response."
# Under the public prefix, but no event of the public API: what it carries is addressed to the gateway's own kind.
_NOT_PUBLIC = frozenset({"response.metadata"})

_PART_TYPES = {
    "response.output_text.": "output_text",
    "response.refusal.": "refusal",
    "response.reasoning_text.": "reasoning_text",
}
_ITEM_TYPES = {
    "response.output_text.": "message",
    "response.refusal.": "message",
    "response.content_part.": "message",
    "response.reasoning_text.": "reasoning",
    "response.reasoning_summary_text.": "reasoning",
    "response.reasoning_summary_part.": "reasoning",
}
_NAMED_BY_ID = {*_ITEM_TYPES, "response.function_call_arguments.", "response.custom_tool_call_input."}


def is_public(event: str) -> bool:
    """Would a client of the public API know what to do with it?"""
    return event == ERROR or (event.startswith(_PUBLIC_PREFIX) and event not in _NOT_PUBLIC)


def part_type(event: str) -> str | None:
    """The type of content part that the event speaks of, None where it speaks of none."""
    return _PART_TYPES.get(_family(event))


def item_type(event: str) -> str | None:
    """The type of output item that the event alone gives away; a tool call's needs more than its deltas say."""
    return _ITEM_TYPES.get(_family(event))


def names_item(event: str) -> bool:
    """Do clients expect an `item_id` in it?"""
    return _family(event) in _NAMED_BY_ID


def _family(event: str) -> str:
    """What the names of an event's kin begin with, such as `response.output_text.`."""
    return event[: event.find(".", len(_PUBLIC_PREFIX)) + 1]


def event_type(frame: Frame) -> str | None:
    """What the frame is called: by its `event` line, else by the `type` of its data; None where neither tells.

    :raises InvalidFrame: its data begins as an object and is not JSON.
    """
    if frame.event is not None:
        return frame.event
    if frame.data is None or not frame.data.lstrip().startswith(b"{"):
        return None
    kind = payload_of(frame).get("type")
    return kind if isinstance(kind, str) else None


def payload_of(frame: Frame) -> dict[str, JSON]:
    """The frame's data as an object.

    :raises InvalidFrame: it is none.
    """
    try:
        payload = mend(frame.data or b"")
    except InvalidJSON as error:
        raise InvalidFrame(f"the data of {(frame.event or 'an event')[:64]!r} is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidFrame(f"the data of {(frame.event or 'an event')[:64]!r} is no object")
    return payload


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one response; None where the upstream did not say.

    :param cached: the part of `input` that was read from the prompt cache. :param reasoning: the unseen part of `output`.
    """

    input: int | None = None
    cached: int | None = None
    output: int | None = None
    reasoning: int | None = None


def usage_of(response: JSON) -> Usage:
    """What a Response object says about tokens; anything that is no count counts as unsaid."""
    usage = _mapping(response, "usage")
    return Usage(
        input=count(usage.get("input_tokens")),
        cached=count(_mapping(usage, "input_tokens_details").get("cached_tokens")),
        output=count(usage.get("output_tokens")),
        reasoning=count(_mapping(usage, "output_tokens_details").get("reasoning_tokens")),
    )


def count(value: JSON) -> int | None:
    """A number of things, small enough for a database's 64 bits, or None."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**63 else None


def _mapping(value: JSON, key: str) -> dict[str, JSON]:
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}

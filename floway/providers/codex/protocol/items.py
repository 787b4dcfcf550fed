"""Input items as the backend takes them: what it would refuse is mended or left out, all else passes as it came."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from floway.providers.codex.protocol.constants import ADDITIONAL_TOOLS
from floway.providers.codex.protocol.ids import instructions_item_id
from floway.providers.contract import Change, ChangeKind
from floway.wire.json import JSON

_LONGEST_ID = 64
# "Expected an ID that begins with …": an id of another shape is refused, none at all is not. Kinds not listed are not judged.
_ID_BEGINS_WITH = MappingProxyType(
    {
        "message": "msg",
        "reasoning": "rs",
        "function_call": "fc",
        "function_call_output": "fc",
        "custom_tool_call": "ctc",
        "custom_tool_call_output": "ctc",
        "web_search_call": "ws",
        "image_generation_call": "ig",
        "compaction": "cmp",
        "agent_message": "amsg",
        ADDITIONAL_TOOLS: "at",
    }
)

_ROLE = Change(ChangeKind.REWRITTEN, "input.role", "the upstream takes system messages as developer messages")
_PLAIN_REASONING = Change(ChangeKind.DROPPED, "input.reasoning", "reasoning without encrypted_content is unknown upstream")
_FOREIGN_ID = Change(ChangeKind.DROPPED, "input.id", "the upstream refuses item ids of another shape than its own")


def listed(value: JSON) -> list[JSON]:
    """The input as a list of items; a string is a user's message."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return list(value) if isinstance(value, list) else []


def mended(items: Iterable[JSON]) -> tuple[list[JSON], tuple[Change, ...]]:
    """Items that can be sent, and which differences there are, each named once."""
    kept: list[JSON] = []
    changes: dict[Change, None] = {}
    for item in items:
        fixed, made = _mend(item)
        if made:
            changes |= dict.fromkeys(made)
            if _PLAIN_REASONING in made:
                continue
        kept.append(fixed)
    return kept, tuple(changes)


def with_instructions(items: list[JSON], instructions: str, thread_id: str) -> list[JSON]:
    """The input with the base instructions as its first developer message, behind tools that a lite request brings."""
    first = next((at for at, item in enumerate(items) if not _is_additional_tools(item)), len(items))
    message = {
        "type": "message",
        "id": instructions_item_id(thread_id, instructions),
        "role": "developer",
        "content": [{"type": "input_text", "text": instructions}],
    }
    return [*items[:first], message, *items[first:]]


def brings_tools(items: Iterable[JSON]) -> bool:
    """Is this the input of a lite request, whose tools are an item?"""
    return any(map(_is_additional_tools, items))


def _is_additional_tools(item: JSON) -> bool:
    return isinstance(item, dict) and item.get("type") == ADDITIONAL_TOOLS


def _mend(item: JSON) -> tuple[JSON, tuple[Change, ...]]:
    if not isinstance(item, dict):
        return item, ()
    kind = item.get("type", "message")
    if kind == "reasoning" and not _text(item.get("encrypted_content")):
        return item, (_PLAIN_REASONING,)
    changes: tuple[Change, ...] = ()
    if kind == "message" and item.get("role") == "system":
        item, changes = {**item, "role": "developer"}, (_ROLE,)
    if "id" in item and not _is_own_id(kind, item["id"]):
        changes += (_FOREIGN_ID,) if item["id"] is not None else ()
        item = {key: value for key, value in item.items() if key != "id"}
    return item, changes


def _is_own_id(kind: JSON, value: JSON) -> bool:
    prefix = _ID_BEGINS_WITH.get(kind, "") if isinstance(kind, str) else ""
    if kind == "item_reference":
        return True
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.startswith(prefix)


def _text(value: JSON) -> bool:
    return isinstance(value, str) and bool(value)

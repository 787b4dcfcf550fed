"""Whose turn a request is: a tool's answer belongs to the turn of the user who set it off."""

from __future__ import annotations

from collections.abc import Sequence

from floway.providers.codex.protocol.constants import ADDITIONAL_TOOLS, COMPACTION_TRIGGER
from floway.providers.codex.protocol.memory import TurnNote
from floway.wire.json import JSON

_CALLERS_OWN = frozenset({ADDITIONAL_TOOLS, "agent_message"})


def inherited(
    items: Sequence[JSON], continued_items: int, continued: TurnNote | None, latest: TurnNote | None
) -> tuple[TurnNote, str] | None:
    """The earlier turn that this request goes on with and how it is known, or None where a new turn begins.

    :param items: the whole input. :param continued_items: how many of them came from the snapshot continued.
    :param continued: of the snapshot continued. :param latest: of the conversation's latest settled turn.
    """
    if continued is not None:
        new = _without_trigger(items[continued_items:])
        return (continued, "snapshot") if new and all(map(_is_tool_output, new)) else None
    if latest is not None and _is_resent_follow_up(_without_trigger(items)):
        return latest, "latest turn"
    return None


def _is_resent_follow_up(items: Sequence[JSON]) -> bool:
    """Does a whole history end in tool outputs, with nobody but the model speaking since the last user message?"""
    last_user = max((index for index, item in enumerate(items) if _is_user_message(item)), default=None)
    if last_user is None or not _is_tool_output(items[-1]):
        return False
    return all(map(_is_models_or_tools, items[last_user + 1 :]))


def _without_trigger(items: Sequence[JSON]) -> Sequence[JSON]:
    return items[:-1] if items and _kind(items[-1]) == COMPACTION_TRIGGER else items


def _kind(item: JSON) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    return kind if isinstance(kind, str) else ""


def _is_tool_output(item: JSON) -> bool:
    return _kind(item).endswith("_output")


def _is_user_message(item: JSON) -> bool:
    return _kind(item) == "message" and item.get("role") == "user"


def _is_models_or_tools(item: JSON) -> bool:
    kind = _kind(item)
    return bool(kind) and kind not in _CALLERS_OWN and (kind != "message" or item.get("role") == "assistant")

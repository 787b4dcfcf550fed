"""Whose turn a request is: a tool's answer belongs to the turn of the user who set it off."""

from __future__ import annotations

from collections.abc import Sequence

from floway.providers.codex.protocol.constants import ADDITIONAL_TOOLS, COMPACTION_TRIGGER
from floway.providers.codex.protocol.memory import TurnNote
from floway.wire.json import JSON

_CALLERS_OWN = frozenset({ADDITIONAL_TOOLS, "agent_message"})


def inherited(
    items: Sequence[JSON], continued_items: int, continued: TurnNote | None, resumed: TurnNote | None, latest: TurnNote | None
) -> tuple[TurnNote, str] | None:
    """The earlier turn that this request goes on with and how it is known, or None where a new turn begins.

    :param items: the whole input. :param continued_items: how many of them came from the snapshot continued.
    :param continued: of the snapshot continued. :param resumed: of the turn whose history is sent again, where it is known.
    :param latest: of the conversation's latest settled turn.
    """
    if continued is not None:
        new = _without_trigger(items[continued_items:])
        return (continued, "snapshot") if new and all(map(_is_tool_output, new)) else None
    turn, source = (resumed, "history sent again") if resumed is not None else (latest, "latest turn")
    return None if turn is None or resumed_at(items) is None else (turn, source)


def resumed_at(items: Sequence[JSON]) -> int | None:
    """The place of the user message whose turn a whole history ends in the midst of; None where it ends otherwise.

    It does where tool outputs end it, and nobody but the model and its tools spoke since the last user message.
    """
    sent = _without_trigger(items)
    if not sent or not _is_tool_output(sent[-1]):
        return None
    for place in range(len(sent) - 1, -1, -1):
        if _is_user_message(sent[place]):
            return place
        if not _is_models_or_tools(sent[place]):
            return None
    return None


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

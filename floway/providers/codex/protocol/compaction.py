"""Compaction as the current client asks for it: an ordinary request whose last item is a trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from floway.providers.codex.protocol.constants import COMPACTION_TRIGGER
from floway.providers.contract import Action
from floway.wire.json import JSON

# Of a compaction that its caller asked for and said nothing more about.
ASKED_FOR: Mapping[str, str] = MappingProxyType(
    {
        "trigger": "manual",
        "reason": "user_requested",
        "implementation": "responses_compaction_v2",
        "phase": "standalone_turn",
        "strategy": "memento",
    }
)


def ends_in_trigger(items: Sequence[JSON]) -> bool:
    """Does the input ask for a compaction by itself?"""
    return bool(items) and isinstance(items[-1], dict) and items[-1].get("type") == COMPACTION_TRIGGER


def is_asked(action: Action, items: Sequence[JSON]) -> bool:
    """Will this request compact?"""
    return action is Action.COMPACT or ends_in_trigger(items)


def with_trigger(items: list[JSON]) -> list[JSON]:
    """The input with a trigger at its end, whether it had one or not."""
    return items if ends_in_trigger(items) else [*items, {"type": COMPACTION_TRIGGER}]

"""The JSON that the gateway keeps for this provider ⇄ dataclasses. What comes back is checked: a note is foreign until read."""

from __future__ import annotations

from floway.providers.codex.protocol.memory import ConversationNote, TurnNote
from floway.providers.contract import ProviderRefused
from floway.wire.json import JSON


class UnreadableNote(ProviderRefused):
    """A stored note is not what this provider wrote; the conversation it stands on cannot go on."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The stored state of this conversation cannot be read: {what}.", code="conversation_damaged", status=500
        )


def read_conversation(note: JSON) -> ConversationNote:
    """The note on a conversation.

    :raises UnreadableNote: it is of another shape.
    """
    session_id, thread_id = _texts(note, ("session_id", "thread_id"))
    return ConversationNote(session_id, thread_id)


def read_turn(note: JSON | None) -> TurnNote | None:
    """The note on a snapshot; None where there is none.

    :raises UnreadableNote: it is of another shape.
    """
    if note is None:
        return None
    session_id, thread_id, turn_id, window_id = _texts(note, ("session_id", "thread_id", "turn_id", "window_id"))
    started = note.get("turn_started_at_unix_ms")
    if not isinstance(started, int) or isinstance(started, bool):
        raise UnreadableNote("turn_started_at_unix_ms is no integer")
    return TurnNote(session_id, thread_id, turn_id, started, window_id)


def write_turn(note: TurnNote) -> dict[str, JSON]:
    """The JSON of a turn's note; `read_turn` undoes it."""
    return {
        "session_id": note.session_id,
        "thread_id": note.thread_id,
        "turn_id": note.turn_id,
        "turn_started_at_unix_ms": note.turn_started_at_unix_ms,
        "window_id": note.window_id,
    }


def _texts(note: JSON, names: tuple[str, ...]) -> list[str]:
    if not isinstance(note, dict):
        raise UnreadableNote("it is no JSON object")
    found: list[str] = []
    for name in names:
        value = note.get(name)
        if not isinstance(value, str) or not value:
            raise UnreadableNote(f"{name} is no text")
        found.append(value)
    return found

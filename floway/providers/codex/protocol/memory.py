"""What this provider asks the gateway to remember, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConversationNote:
    """Kept on a conversation: the ids that it is."""

    session_id: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class TurnNote:
    """Kept on a snapshot: who the turn said it was, so that its follow-ups can say the same. Ids only."""

    session_id: str
    thread_id: str
    turn_id: str
    turn_started_at_unix_ms: int
    window_id: str

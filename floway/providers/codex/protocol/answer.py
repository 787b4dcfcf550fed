"""What the head of the backend's answer says beside its body."""

from __future__ import annotations

from floway.providers.codex.protocol.constants import TURN_STATE
from floway.providers.codex.protocol.memory import TurnNote
from floway.providers.codex.protocol.upstream_text import word
from floway.providers.contract import AnswerNotes, Keepsake
from floway.wire.headers import Headers

_IDS = ("x-request-id", "cf-ray")
_LONGEST_TURN_STATE = 16 * 1024


def read(turn: TurnNote | None, headers: Headers) -> AnswerNotes:
    """The backend's ids, and the state that it wants to see again within the turn.

    The official client returns that state on every further request of the same turn, and never on another turn's. On a
    WebSocket it ignores the handshake's header and wants an event.
    """
    ids = {name: value for name in _IDS if (value := word(headers.get(name)))}
    state = headers.get(TURN_STATE)
    if turn is None or state is None or not _can_be_sent(state):
        return AnswerNotes(ids)
    event = {"type": "response.metadata", "headers": {TURN_STATE: state}}
    return AnswerNotes(ids, ((TURN_STATE, state),), (event,), Keepsake(turn.turn_id, state))


def _can_be_sent(state: str) -> bool:
    return len(state) <= _LONGEST_TURN_STATE and state.isascii() and state.isprintable()

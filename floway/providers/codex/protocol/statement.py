"""The identity of one dispatch: every id that goes out, resolved once, with its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from floway.providers.codex.protocol import identity, windows
from floway.providers.codex.protocol.ids import unix_ms, uuid7
from floway.providers.codex.protocol.memory import ConversationNote, TurnNote
from floway.providers.codex.protocol.surfaces import Surfaces
from floway.providers.contract import Entropy, IdentityClaim, Numbered, Opaque, ResolvedId


@dataclass(frozen=True, slots=True)
class Statement:
    """Who a request says it is, every id with its source."""

    session: ResolvedId
    thread: ResolvedId
    client_request: ResolvedId
    window: ResolvedId
    window_number: int
    turn: ResolvedId
    root_turn: ResolvedId
    turn_started_at_unix_ms: int
    installation: ResolvedId
    parent_thread: ResolvedId | None
    subagent: ResolvedId | None

    def resolved(self) -> tuple[ResolvedId, ...]:
        """Every id that goes out, for the operator."""
        ids = (
            self.session, self.thread, self.client_request, self.window, self.turn, self.root_turn, self.installation,
            self.parent_thread, self.subagent,
        )  # fmt: skip
        return tuple([found for found in ids if found is not None])

    def note(self) -> TurnNote:
        """What to remember of this turn."""
        return TurnNote(self.session.value, self.thread.value, self.turn.value, self.turn_started_at_unix_ms, self.window.value)


def resolve(
    surfaces: Surfaces,
    claim: IdentityClaim,
    *,
    note: ConversationNote,
    turn: tuple[TurnNote, str] | None,
    number: int,
    device_id: str,
    official: bool,
    started_at: datetime,
    entropy: Entropy,
) -> Statement:
    """The identity of one dispatch. Draws one id, needed or not, so that every dispatch of an attempt says the same.

    :param note: the conversation's; it wins over the claim's, which may have lost a race.
    :param turn: the earlier turn that this request goes on with, and how it is known.
    :param number: of the window that the gateway runs the turn in; a number of the caller's own is used as it is.
    :raises ProviderRefused: an id that the caller states cannot be used.
    """
    sources = {known.name: known.source for known in claim.identity}
    session = ResolvedId(identity.SESSION.name, note.session_id, sources[identity.SESSION.name])
    thread = ResolvedId(identity.THREAD.name, note.thread_id, sources[identity.THREAD.name])
    fresh = uuid7(started_at, entropy)
    told = identity.find(identity.TURN, surfaces, [(turn[0].turn_id, turn[1])] if turn else [])
    this_turn = told or ResolvedId(identity.TURN.name, fresh, identity.MINTED)
    window_number, window_source = _window(claim, sources, number)
    return Statement(
        session=session,
        thread=thread,
        client_request=identity.resolve(identity.CLIENT_REQUEST, surfaces, thread.value, "= thread"),
        window=ResolvedId(identity.WINDOW.name, windows.spell(thread.value, window_number), window_source),
        window_number=window_number,
        turn=this_turn,
        root_turn=identity.resolve(identity.ROOT_TURN, surfaces, this_turn.value, "= turn"),
        turn_started_at_unix_ms=_turn_started(surfaces, this_turn.value, turn, started_at),
        installation=identity.resolve(identity.INSTALLATION, surfaces, device_id, "credential"),
        parent_thread=identity.find(identity.PARENT_THREAD, surfaces) if official else None,
        subagent=identity.find(identity.SUBAGENT, surfaces) if official else None,
    )


def _window(claim: IdentityClaim, sources: dict[str, str], number: int) -> tuple[int, str]:
    if isinstance(claim.window, Numbered):
        return claim.window.number, sources[identity.WINDOW.name]
    mapped_from = f" for {sources[identity.WINDOW.name]}" if isinstance(claim.window, Opaque) else ""
    return number, f"generation {number}{mapped_from}"


def _turn_started(surfaces: Surfaces, turn_id: str, inherited: tuple[TurnNote, str] | None, started_at: datetime) -> int:
    stated = surfaces.turn_metadata.get("turn_started_at_unix_ms")
    if isinstance(stated, int) and not isinstance(stated, bool):
        return stated
    if inherited is not None and inherited[0].turn_id == turn_id:
        return inherited[0].turn_started_at_unix_ms
    return unix_ms(started_at)

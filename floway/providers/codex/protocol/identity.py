"""Who a request says it is. The order of precedence is data; one loop takes what comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from floway.providers.codex.protocol import constants as names
from floway.providers.codex.protocol import items, turns, windows
from floway.providers.codex.protocol.content_key import content_key
from floway.providers.codex.protocol.ids import uuid7
from floway.providers.codex.protocol.memory import ConversationNote, TurnNote
from floway.providers.codex.protocol.surfaces import Surface, Surfaces
from floway.providers.contract import Entropy, IdentityClaim, ProviderRefused, ResolvedId, ScopeStep
from floway.wire.json import JSONObject

_LONGEST_ID = 256
MINTED = "minted"

Candidates = Iterable[tuple[str, str]]
"""(value, source), best first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one id may be stated.

    :param name: the operator's word. :param param: what a refusal names.
    :param stated_as: on each surface the names it goes by, an alias behind what it stands for.
    """

    name: str
    param: str
    stated_as: Mapping[Surface, tuple[str, ...]]


def _rule(
    name: str,
    param: str,
    *,
    header: tuple[str, ...] = (),
    client_metadata: tuple[str, ...] = (),
    turn_metadata: tuple[str, ...] = (),
) -> Rule:
    stated_as = {Surface.HEADER: header, Surface.CLIENT_METADATA: client_metadata, Surface.TURN_METADATA: turn_metadata}
    return Rule(name, param, stated_as)


SESSION = _rule(
    "session",
    names.SESSION_ID,
    header=(names.SESSION_ID, names.SESSION_ALIAS),
    client_metadata=("session_id",),
    turn_metadata=("session_id",),
)
THREAD = _rule(
    "thread", names.THREAD_ID, header=(names.THREAD_ID,), client_metadata=("thread_id",), turn_metadata=("thread_id",)
)
CLIENT_REQUEST = _rule("client_request", names.CLIENT_REQUEST_ID, header=(names.CLIENT_REQUEST_ID,))
INSTALLATION = _rule(
    "installation", names.INSTALLATION_ID, client_metadata=(names.INSTALLATION_ID,), turn_metadata=("installation_id",)
)
WINDOW = _rule(
    "window",
    names.WINDOW_ID,
    header=(names.WINDOW_ID,),
    client_metadata=(names.WINDOW_ID,),
    turn_metadata=("window_id",),
)
TURN = _rule("turn", "turn_id", client_metadata=("turn_id",), turn_metadata=("turn_id",))
ROOT_TURN = _rule("root_turn", "root_turn_id", client_metadata=("root_turn_id",), turn_metadata=("root_turn_id",))
PARENT_THREAD = _rule(
    "parent_thread",
    names.PARENT_THREAD_ID,
    header=(names.PARENT_THREAD_ID,),
    client_metadata=(names.PARENT_THREAD_ID,),
    turn_metadata=("parent_thread_id",),
)
SUBAGENT = _rule("subagent", names.SUBAGENT, header=(names.SUBAGENT,), client_metadata=(names.SUBAGENT,))


def find(rule: Rule, surfaces: Surfaces, otherwise: Candidates = ()) -> ResolvedId | None:
    """The first that is there: what the caller states, surface by surface, then `otherwise`.

    :raises ProviderRefused: it cannot stand in a header.
    """
    for value, source in surfaces.stated(rule.stated_as) or otherwise:
        return ResolvedId(rule.name, _usable(value, rule.param), source)
    return None


def resolve(rule: Rule, surfaces: Surfaces, default: str, source: str, otherwise: Candidates = ()) -> ResolvedId:
    """As `find`, with something to fall back on."""
    return find(rule, surfaces, otherwise) or ResolvedId(rule.name, default, source)


def _usable(value: str, param: str) -> str:
    if len(value) > _LONGEST_ID or not (value.isascii() and value.isprintable()):
        raise ProviderRefused(
            f"'{param}' must be at most {_LONGEST_ID} printable ASCII characters.", param=param, code="invalid_value"
        )
    return value


def claim(
    surfaces: Surfaces,
    body: JSONObject,
    continued: TurnNote | None,
    recalled: ConversationNote | None,
    started_at: datetime,
    entropy: Entropy,
) -> IdentityClaim:
    """Which conversation the request belongs to; see `ResponsesProvider.identify`. Draws one id, needed or not.

    :raises ProviderRefused: an id that the caller states cannot be used.
    """
    remembered = _remembered(continued, recalled)
    of_notes = [(note.session_id, source) for note, source in remembered]
    session = resolve(SESSION, surfaces, uuid7(started_at, entropy), MINTED, of_notes)
    of_its_notes = [(note.thread_id, source) for note, source in remembered if note.session_id == session.value]
    thread = resolve(THREAD, surfaces, session.value, "= session", of_its_notes)
    window = find(WINDOW, surfaces)
    turn = find(TURN, surfaces)
    for rule in (CLIENT_REQUEST, INSTALLATION, ROOT_TURN):  # refused now or never: nothing is claimed yet
        find(rule, surfaces)
    asks = turn is None and continued is None
    return IdentityClaim(
        scope=(ScopeStep(SESSION.name, session.value), ScopeStep(THREAD.name, thread.value)),
        note={"session_id": session.value, "thread_id": thread.value},
        window=windows.read(window.value, thread.value) if window else None,
        identity=(session, thread) if window is None else (session, thread, window),
        recall_key=content_key(body) if session.source == MINTED else None,
        resumed_at=turns.resumed_at(items.listed(body.get("input"))) if asks else None,
    )


def _remembered(
    continued: TurnNote | None, recalled: ConversationNote | None
) -> tuple[tuple[TurnNote | ConversationNote, str], ...]:
    """The notes that are there, each with the operator's word for it, best first."""
    notes = ((continued, "snapshot"), (recalled, "content key"))
    return tuple([(note, source) for note, source in notes if note is not None])

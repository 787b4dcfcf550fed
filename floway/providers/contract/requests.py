"""A turn on its way up: what the gateway hands a provider, and what comes back for the wire and for the record."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from floway.providers.contract.accounts import Account
from floway.wire.headers import HeaderLine, Headers
from floway.wire.json import JSON, JSONObject

Entropy = Callable[[int], bytes]
"""`entropy(n)` gives n random bytes. An argument, so that every id can be asserted to the byte."""


class Action(enum.Enum):
    """What the turn asks for."""

    GENERATE = "generate"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A caller's request, parsed once at the edge.

    :param headers: the caller's header lines, the gateway's key already removed.
    :param body: the JSON body; `input` is a list of items, `previous_response_id` is already expanded into it and gone.
    :param continued_items: how many leading items of `input` came from the snapshot continued; the rest is new.
    :param transport: on a WebSocket the handshake's headers are frozen while frames are not.
    """

    headers: Headers
    body: JSONObject
    continued_items: int = 0
    transport: Literal["http", "websocket"] = "http"


@dataclass(frozen=True, slots=True)
class ScopeStep:
    """One step of the path that names a conversation: a kind in the provider's words, and its id."""

    kind: str
    id: str


class ResolvedId(NamedTuple):
    """One id of a request and where it came from, for the operator's eyes."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """A context window that the caller numbers itself; used as it is."""

    number: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A context window that the caller names in its own way; the gateway maps it to a number."""

    id: str


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """Which conversation a request belongs to, before the gateway has looked it up.

    :param scope: the path of ids that names the conversation; the gateway keys it together with API key and provider.
    :param note: what to remember on the conversation if it is new.
    :param window: the context window the caller states, if any.
    :param identity: every id resolved so far, with its source.
    :param recall_key: set where an id was minted for want of any other: a key made of the request's content. If the gateway
        remembers a conversation under it, it asks `identify` again with that conversation's note as `recalled`.
    :param resumed_at: set where the request sends again the history of a turn that is under way, and does not say which: the
        position in `input` of the item that began the turn. The gateway looks for it among the conversation's settled turns.
    """

    scope: tuple[ScopeStep, ...]
    note: JSON
    window: Numbered | Opaque | None
    identity: tuple[ResolvedId, ...]
    recall_key: str | None = None
    resumed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Keepsake:
    """Something that an upstream's answer asked to be shown again: kept sealed for its conversation and account alone."""

    key: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One gateway attempt; the same across every dispatch of that attempt but for the account.

    :param attempt_id: the gateway's request id.
    :param started_at: aware, UTC.
    :param entropy: seeded per attempt and hook: a second `prepare` of the attempt draws the same bytes again, and none that
        `identify` drew.
    :param claim: what `identify` said.
    :param note: what this provider noted on the conversation (a stored note wins over the claim's).
    :param continued: its note on the snapshot continued, or None.
    :param resumed: its note on the turn that the claim's `resumed_at` asked for, or None: not asked, or not known.
    :param latest: its note on the conversation's latest settled turn, or None. None too where the conversation was recalled by
        its key: others that share it may have spoken since.
    :param generation: the context window of the conversation that this turn runs in; allocated by the gateway.
    :param keepsakes: what earlier answers of this conversation under this account left, the newest first.
    """

    attempt_id: str
    started_at: datetime
    entropy: Entropy
    action: Action
    inbound: ResponsesRequest
    account: Account
    claim: IdentityClaim
    note: JSON
    continued: JSON | None
    latest: JSON | None
    generation: int
    keepsakes: tuple[Keepsake, ...] = ()
    resumed: JSON | None = None


@dataclass(frozen=True, slots=True)
class AnswerNotes:
    """What the head of a successful answer tells beside its body.

    :param ids: what the upstream calls this exchange, for the operator.
    :param for_official_callers: header lines that official clients of the dialect are shown.
    :param events_for_official_callers: events that say the same on a connection whose headers are long gone.
    :param keepsake: to be shown again on a later turn, whatever becomes of this one.
    """

    ids: Mapping[str, str]
    for_official_callers: tuple[HeaderLine, ...] = ()
    events_for_official_callers: tuple[JSONObject, ...] = ()
    keepsake: Keepsake | None = None


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One HTTP request, whole: the transport adds nothing to it.

    :param headers: in the order and case in which they go out; `content-length` and `host` are framing and stand here too.
    """

    method: str
    url: str
    headers: tuple[HeaderLine, ...] = field(repr=False)
    body: bytes = field(repr=False)


class ChangeKind(enum.Enum):
    """What was done to a field of the caller's request."""

    DROPPED = "dropped"
    ADDED = "added"
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what the caller asked and what goes upstream.

    :param refusable: under a key's strict mode this difference is answered 400 instead.
    """

    kind: ChangeKind
    field: str
    reason: str
    refusable: bool = False


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """What to send, and what the gateway shall remember about it.

    :param carry: opaque; comes back when the answer is read and at commit.
    :param identity: every id the request states, with its source.
    """

    request: UpstreamRequest
    carry: JSON
    changes: tuple[Change, ...]
    identity: tuple[ResolvedId, ...]


@dataclass(frozen=True, slots=True)
class SnapshotContext:
    """A turn that reached its terminal event, about to be stored.

    :param output: the items of the response, complete.
    :param generation: the window the turn ran in.
    """

    attempt_id: str
    carry: JSON
    output: Sequence[JSON]
    upstream_headers: Headers
    generation: int


@dataclass(frozen=True, slots=True)
class SnapshotNote:
    """What a provider wants kept on a snapshot: stored verbatim, given back only to it. Ids only, no content."""

    metadata: JSONObject
    scope: tuple[ScopeStep, ...]

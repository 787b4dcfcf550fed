"""What a provider offers the gateway and what it is given: frozen values and one protocol, naming no provider.

A turn goes *identify → claim → prepare → stream → settle*. Only a provider can read ids out of a request, only the gateway
numbers and stores. What a provider wants kept goes out as an opaque JSON value and comes back to the same provider only.
Hooks are pure but for the verbs that say they speak to the network; none of them keeps anything about a request between calls.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, runtime_checkable

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
class Proxy:
    """What all traffic of a credential goes through; nothing goes round it.

    :param url: http or https, user and password included. :param local: it may stand on this machine.
    """

    url: str = field(repr=False)
    local: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A frozen view of one credential, tokens included, for one dispatch.

    :param facts: what `discover` said of it, opaque to the gateway; None before that.
    """

    credential_id: int
    account_id: str
    user_id: str
    email: str
    plan: str
    device_id: str
    access_token: str = field(repr=False)
    access_expires_at: datetime | None = None
    extras: JSONObject = field(default_factory=dict, repr=False)
    facts: JSON = None
    proxy: Proxy | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ScopeStep:
    """One step of the path that names a conversation: a kind in the provider's words, and its id."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class ResolvedId:
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
    """

    scope: tuple[ScopeStep, ...]
    note: JSON
    window: Numbered | Opaque | None
    identity: tuple[ResolvedId, ...]
    recall_key: str | None = None


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
    :param latest: its note on the conversation's latest settled turn, or None.
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


@dataclass(frozen=True, slots=True)
class AnswerNotes:
    """What the head of a successful answer tells beside its body.

    :param ids: what the upstream calls this exchange, for the operator.
    :param for_official_callers: header lines that official clients of the dialect are shown.
    :param keepsake: to be shown again on a later turn, whatever becomes of this one.
    """

    ids: Mapping[str, str]
    for_official_callers: tuple[HeaderLine, ...] = ()
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


class UpstreamResponse(Protocol):
    """An answer whose body is still arriving."""

    status: int
    headers: Headers

    def read(self, timeout: float) -> bytes:
        """The next bytes of the body, decoded from its framing, as soon as any are there; b"" at its clean end.

        :param timeout: seconds to wait for the first byte.
        :raises TimeoutError: nothing came in time; reading may go on.
        :raises floway.providers.contract.UpstreamCut: the connection ended inside the body.
        """

    def read_all(self, limit: int, timeout: float) -> bytes:
        """The rest of a small body, cut at `limit` bytes; what came until an error or the timeout counts."""

    def close(self) -> None:
        """Let go of it. A body read to its end leaves its connection reusable; any other closes it."""


class UpstreamCut(Exception):
    """The upstream's connection ended where it must not; `str` says how."""


class UpstreamUnreachable(Exception):
    """No answer was had at all: name, connect, TLS or proxy failure, or silence before the status line.

    :param sent: False where the request certainly never left.
    """

    def __init__(self, message: str = "", *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class FailureKind(enum.Enum):
    """Whose fault a refusal is, in the gateway's words: each member is a different thing to do."""

    REQUEST = "request"  # the caller's request; no other credential would answer differently
    MODEL = "model"  # no such model for this account
    ENCRYPTED_CONTENT = "encrypted_content"  # it carries ciphertext that this account cannot read
    STALE_TOKEN = "stale_token"  # noqa: S105 - refresh, then once more
    NEEDS_SIGN_IN = "needs_sign_in"  # the login is dead until a person signs in
    RATE_LIMITED = "rate_limited"  # slow down; the account is well
    USAGE_LIMIT = "usage_limit"  # spent until a reset
    FORBIDDEN = "forbidden"  # the account may not do this
    EDGE_BLOCKED = "edge_blocked"  # refused in front of the service, before the account was looked at
    OVERLOADED = "overloaded"  # the service has no room
    UPSTREAM = "upstream"  # anything else of theirs


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal, classified.

    :param status: HTTP status for an ordinary caller; an official client is told 400 for what is `permanent`, 429 apart.
    :param code, type, message, param: the envelope's fields; the message holds no upstream secrets and no HTML.
    :param details: further keys for the envelope's `error` object.
    :param permanent: the same request will fail again.
    :param retry_after: seconds; None where unknown.
    :param resets_at: when a spent account is usable again.
    :param operator: what the operator should know, ids of the upstream included.
    """

    kind: FailureKind
    status: int
    code: str | None
    type: str
    message: str
    operator: str
    param: str | None = None
    permanent: bool = False
    retry_after: int | None = None
    resets_at: datetime | None = None
    details: JSONObject = field(default_factory=dict)


class UpstreamRefused(UpstreamUnreachable):
    """The upstream answered a question of the gateway's own with a refusal; `failure` says which."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.operator)
        self.failure = failure


class AccountUnusable(Exception):
    """What the upstream says of an account forbids its use; `str` tells the operator what."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a catalogue, in the public API's terms; `created` is Unix seconds."""

    id: str
    created: int
    owned_by: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models an account may use.

    :param dialect_query: the query parameter by which official clients ask for `dialect_body`, not for the public list.
    :param etag: of the dialect's body.
    """

    models: tuple[Model, ...]
    dialect_query: str | None = None
    dialect_body: JSON = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """How much of one allowance is used.

    :param limit: which allowance, in the provider's words. :param window: which of its windows.
    :param used_percent: 0 to 100 and beyond. :param minutes: the window's length, None if not told.
    """

    limit: str
    window: str
    used_percent: float
    minutes: int | None
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Fresh tokens. A None among them means the old one stays."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    access_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A login, read from an imported document.

    :param subject: what makes two imports the same login; unique per provider.
    :param device_id: the document's own device id where it has a valid one (UUIDv4 text), else None.
    :param rest: what else the document says, free of secrets.
    """

    subject: str
    email: str
    account_id: str
    user_id: str
    plan: str
    tokens: TokenGrant
    device_id: str | None = None
    rest: JSONObject = field(default_factory=dict)


class InvalidDocument(ValueError):
    """An imported document is not a login; `str` says why without quoting it."""


@dataclass(frozen=True, slots=True)
class SignInField:
    """Something that a person brings back from the provider's pages: one line of text."""

    label: str
    help_text: str


@dataclass(frozen=True, slots=True)
class SignInMethod:
    """One way to sign in, in words for people; the gateway renders it and knows no more of it.

    :param steps: what the person does, sentence by sentence.
    :param redirect_uri: the address that the provider sends the person's browser to at the end, or None where it sends it
        nowhere. It is on the person's own machine, so a gateway elsewhere cannot be reached there.
    :param callback: asks for the address that the browser was sent to; None where the provider is asked instead.
    """

    slug: str
    label: str
    help_text: str
    steps: tuple[str, ...]
    redirect_uri: str | None = None
    callback: SignInField | None = None


@dataclass(frozen=True, slots=True)
class SignInStart:
    """A sign-in that has begun.

    :param url: for the person to open. :param user_code: for the person to type in there; a secret while it lasts.
    :param state: opaque; kept sealed and given back when it is finished.
    :param poll: how long to wait between two attempts to finish it, where the provider is asked.
    :param lifetime: how long the provider holds it open, if it says.
    """

    url: str = field(repr=False)
    state: JSON = field(repr=False)
    user_code: str | None = field(default=None, repr=False)
    poll: timedelta | None = None
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NotYet:
    """The person has not come to the end of the provider's pages."""


class SignInRefused(Exception):
    """A sign-in cannot be finished; `message` tells the person why, without quoting what was sent.

    :param again: nothing has been used up: the same sign-in may be finished with something else, or later.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.again = again


class RefreshRefused(Exception):
    """The authority answered a refresh with a refusal.

    :param terminal: no later try with this token can succeed: a person must sign in.
    :param code: the authority's own code, for the operator.
    :param kind: whose fault it is, where it may pass.
    """

    def __init__(self, code: str, message: str, *, terminal: bool, kind: FailureKind = FailureKind.UPSTREAM) -> None:
        super().__init__(message)
        self.kind = FailureKind.NEEDS_SIGN_IN if terminal else kind
        self.code = code
        self.message = message
        self.terminal = terminal


class ProviderRefused(Exception):
    """A provider will not prepare this request; the caller is told why in the public envelope."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


@runtime_checkable
class ResponsesProvider(Protocol):
    """Everything the gateway asks of a provider. Constructed once per process, from settings."""

    slug: str

    def recognises(self, headers: Headers) -> bool:
        """Is this caller an official client of this provider's dialect? Asked before authentication too. Pure."""

    def identify(
        self, inbound: ResponsesRequest, continued: JSON | None, recalled: JSON | None, started_at: datetime, entropy: Entropy
    ) -> IdentityClaim:
        """Which conversation this request belongs to, and the source of every id. Pure.

        :param continued: this provider's note on the snapshot continued, or None.
        :param recalled: its note on the conversation found under an earlier claim's `recall_key`, or None.
        :raises ProviderRefused: an id that the caller states cannot be used.
        """

    def prepare_responses_request(self, context: RequestContext) -> PreparedRequest:
        """The upstream request for this turn. Once per dispatch, before the socket; a function of its context.

        :raises ProviderRefused: the request cannot be expressed upstream.
        """

    def before_responses_snapshot_commit(self, context: SnapshotContext) -> SnapshotNote | None:
        """What to keep on the snapshot. Once, after a terminal event. Pure."""

    def stream(self, request: UpstreamRequest, account: Account) -> UpstreamResponse:
        """Send it; returns when the status line and headers are there. Network.

        :raises UpstreamUnreachable: no answer was had.
        """

    def read_answer(self, carry: JSON, headers: Headers) -> AnswerNotes:
        """What the head of an answer tells beside its body. Pure."""

    def classify_failure(self, status: int, headers: Headers, body: bytes, now: datetime) -> Failure:
        """What an answer other than success means. Pure; any bytes may come."""

    def classify_event(self, error: JSON) -> Failure:
        """The same for the `error` object of a failed event inside a successful answer. Pure."""

    def models(self, account: Account) -> Catalogue:
        """The account's catalogue. Network.

        :raises UpstreamUnreachable: no answer, or none that is a catalogue; `UpstreamRefused` where it was a refusal.
        """

    def quota(self, headers: Headers, now: datetime) -> Sequence[QuotaWindow]:
        """The allowances that an answer's headers tell of. Pure."""

    def poll_quota(self, account: Account) -> Sequence[QuotaWindow]:
        """The account's allowances, asked for without taking a turn. Network.

        :raises UpstreamUnreachable: no answer, or none that tells; `UpstreamRefused` where it was a refusal.
        """

    def discover(self, account: Account) -> JSON:
        """What must be known of an account before its first turn; comes back as `Account.facts`. Network.

        :raises AccountUnusable: it must not be used as things are.
        :raises UpstreamUnreachable: no answer, or none that tells; `UpstreamRefused` where it was a refusal.
        """

    def import_credential(self, document: JSON) -> Grant:
        """Read a login out of a document that the provider's official client keeps. Pure.

        :raises InvalidDocument: it holds none.
        """

    def refresh(self, account: Account, refresh_token: str, *, refused: bool = False) -> TokenGrant:
        """Exchange the refresh token. Network; the old one may be dead whatever the outcome.

        :param refused: the upstream has refused the access token although it had not run out.
        :raises RefreshRefused: the authority said no.
        :raises UpstreamUnreachable: no answer; whether the token was consumed is unknown.
        """

    def export_credential(self, account: Account, tokens: TokenGrant, refreshed_at: datetime | None) -> JSONObject:
        """The login as a document that `import_credential` reads back, device id included. Pure.

        :param refreshed_at: when the tokens were had; None where that is not known.
        """

    def sign_in_methods(self) -> Sequence[SignInMethod]:
        """How a person can sign in, the best way first. Pure."""

    def begin_sign_in(
        self, method: str, redirect_uri: str | None, entropy: Entropy, *, proxy: Proxy | None = None
    ) -> SignInStart:
        """Begin a sign-in. Network.

        :param redirect_uri: the method's own, or another that the provider is known to take.
        :param proxy: the one of the login that is renewed: all that is asked goes through it, or nowhere.
        :raises SignInRefused: the authority will not have it. :raises UpstreamUnreachable: no answer.
        """

    def finish_sign_in(self, method: str, state: JSON, callback: str | None, *, proxy: Proxy | None = None) -> Grant | NotYet:
        """Finish one. Network, unless `callback` is refused as it stands; it is parsed and never fetched.

        :param callback: what the person brought back; None where the provider is asked. :param proxy: as at the beginning.
        :raises SignInRefused: see there. :raises UpstreamUnreachable: no answer; the sign-in may be used up.
        """

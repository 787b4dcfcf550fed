"""The protocol itself: every hook and verb."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from floway.providers.contract.accounts import Account, Grant, Proxy, TokenGrant
from floway.providers.contract.answers import Catalogue, PromptCache, QuotaWindow, UpstreamResponse
from floway.providers.contract.dialect import DialectRoute
from floway.providers.contract.failures import Failure
from floway.providers.contract.requests import (
    AnswerNotes,
    Entropy,
    IdentityClaim,
    PreparedRequest,
    RequestContext,
    ResponsesRequest,
    SnapshotContext,
    SnapshotNote,
    UpstreamRequest,
)
from floway.providers.contract.signing_in import NotYet, SignInMethod, SignInStart
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject


@runtime_checkable
class ResponsesProvider(Protocol):
    """Everything the gateway asks of a provider. Constructed once per process, from settings."""

    slug: str
    prompt_cache: PromptCache | None

    def recognises(self, headers: Headers) -> bool:
        """Is this caller an official client of this provider's dialect? Asked before authentication too. Pure."""

    def dialect_routes(self) -> Sequence[DialectRoute]:
        """Where official clients that take the gateway for their service expect what the gateway serves. Pure."""

    def dialect_document(self, path: str, headers: Headers) -> JSON:
        """What stands at a route that is a document. Nothing of any account's is told there. Pure.

        :param headers: the caller's, its key removed.
        """

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

    def narrowed(self, found: Catalogue) -> Catalogue:
        """The catalogue with a `dialect_body` that lists no more than its `models`. No I/O."""

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

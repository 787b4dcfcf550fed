"""The contract on one side, the protocol on the other. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from floway.providers.codex import authorization, host, oauth, signing_in, state
from floway.providers.codex.client import Client
from floway.providers.codex.protocol import (
    answer,
    catalogue,
    dialect,
    failures,
    identity,
    quota,
    request,
    routes,
    routing,
    surfaces,
)
from floway.providers.codex.protocol.profiles import PROFILES
from floway.providers.codex.signing_in import Authority
from floway.providers.contract import (
    Account,
    AccountUnusable,
    AnswerNotes,
    Catalogue,
    DialectRoute,
    Entropy,
    Failure,
    Grant,
    IdentityClaim,
    NotYet,
    PreparedRequest,
    PromptCache,
    ProviderRefused,
    Proxy,
    QuotaWindow,
    RequestContext,
    ResponsesRequest,
    ScopeStep,
    SignInMethod,
    SignInStart,
    SnapshotContext,
    SnapshotNote,
    TokenGrant,
    UpstreamRequest,
    UpstreamResponse,
)
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject

# As OpenAI documents it of its API: from 1,024 tokens on, in steps of 128, for 5 to 10 minutes of inactivity, an hour at most
# (https://developers.openai.com/docs/guides/prompt-caching, read in November 2026). The backend says nothing of it.
_PROMPT_CACHE = PromptCache(smallest=1024, step=128, kept=timedelta(minutes=5), longest=timedelta(hours=1))


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CodexProvider:
    """ChatGPT's Codex backend, spoken to as the official client speaks. See `ResponsesProvider`.

    :param base_url: in front of `/codex/responses`. :param auth_url: in front of `/oauth/token`.
    :param profile: the version of the official client to speak like for callers that are none.
    :param connect_timeout, answer_timeout: seconds.
    :param allowed_origins: hosts that a workspace's routing may name; one that begins with a dot has its subdomains too.
    :raises ValueError: there is no such profile.
    """

    def __init__(
        self,
        slug: str,
        base_url: str,
        auth_url: str,
        profile: str,
        connect_timeout: float,
        answer_timeout: float,
        allowed_origins: Sequence[str] = (),
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"there is no client profile {profile!r}; known are {', '.join(sorted(PROFILES))}")
        self.slug = slug
        self.prompt_cache: PromptCache | None = _PROMPT_CACHE
        spoken, machine = PROFILES[profile], host.facts()
        self._gateway = dialect.gateway(spoken, machine)
        self._allowed_origins = tuple(allowed_origins)
        self._client = Client(slug, base_url, auth_url, spoken, machine, connect_timeout, answer_timeout, self._allowed_origins)
        self._clock = clock

    def recognises(self, headers: Headers) -> bool:
        """See ResponsesProvider."""
        return dialect.official(headers) is not None

    def dialect_routes(self) -> Sequence[DialectRoute]:
        """See ResponsesProvider."""
        return routes.ROUTES

    def dialect_document(self, path: str, headers: Headers) -> JSON:
        """See ResponsesProvider."""
        return routes.DOCUMENTS[path](headers)

    def identify(
        self, inbound: ResponsesRequest, continued: JSON | None, recalled: JSON | None, started_at: datetime, entropy: Entropy
    ) -> IdentityClaim:
        """See ResponsesProvider."""
        return identity.claim(
            surfaces.read(inbound),
            inbound.body,
            state.read_turn(continued),
            state.read_conversation(recalled) if recalled is not None else None,
            started_at,
            entropy,
        )

    def prepare_responses_request(self, context: RequestContext) -> PreparedRequest:
        """See ResponsesProvider."""
        memory = request.Memory(
            conversation=state.read_conversation(context.note),
            continued=state.read_turn(context.continued),
            resumed=state.read_turn(context.resumed),
            latest=state.read_turn(context.latest),
        )
        try:
            route = routing.known(context.account.facts, self._allowed_origins)
        except AccountUnusable as error:
            raise ProviderRefused("The gateway's login cannot be used now.", code="account_unusable", status=503) from error
        outgoing = request.compose(context, memory, self._gateway, route)
        return PreparedRequest(
            request=self._client.responses_request(outgoing, route),
            carry=state.write_turn(outgoing.statement.note()),
            changes=outgoing.changes,
            identity=outgoing.statement.resolved(),
        )

    def before_responses_snapshot_commit(self, context: SnapshotContext) -> SnapshotNote | None:
        """See ResponsesProvider. The note is the identity that the turn went out with."""
        note = state.read_turn(context.carry)
        if note is None:
            return None
        scope = (
            ScopeStep("session", note.session_id),
            ScopeStep("thread", note.thread_id),
            ScopeStep("window", note.window_id),
        )
        return SnapshotNote(state.write_turn(note), scope)

    def stream(self, request: UpstreamRequest, account: Account) -> UpstreamResponse:
        """See ResponsesProvider."""
        return self._client.send(request, account)

    def read_answer(self, carry: JSON, headers: Headers) -> AnswerNotes:
        """See ResponsesProvider."""
        return answer.read(state.read_turn(carry), headers)

    def classify_failure(self, status: int, headers: Headers, body: bytes, now: datetime) -> Failure:
        """See ResponsesProvider."""
        return failures.classify(status, headers, body, now)

    def classify_event(self, error: JSON) -> Failure:
        """See ResponsesProvider."""
        return failures.classify_event(error)

    def models(self, account: Account) -> Catalogue:
        """See ResponsesProvider."""
        return self._client.models(account, self._clock())

    def narrowed(self, found: Catalogue) -> Catalogue:
        """See ResponsesProvider."""
        return catalogue.narrowed(found)

    def quota(self, headers: Headers, now: datetime) -> Sequence[QuotaWindow]:
        """See ResponsesProvider."""
        return quota.windows(headers, now)

    def poll_quota(self, account: Account) -> Sequence[QuotaWindow]:
        """See ResponsesProvider."""
        return self._client.poll_quota(account, self._clock())

    def discover(self, account: Account) -> JSON:
        """See ResponsesProvider. The facts are the workspace's routing."""
        return self._client.discover(account, self._clock()).facts()

    def import_credential(self, document: JSON) -> Grant:
        """See ResponsesProvider."""
        return oauth.read_document(document)

    def refresh(self, account: Account, refresh_token: str, *, refused: bool = False) -> TokenGrant:
        """See ResponsesProvider."""
        return self._client.refresh(account, refresh_token, "unauthorized_recovery" if refused else "proactive_expiry")

    def export_credential(self, account: Account, tokens: TokenGrant, refreshed_at: datetime | None) -> JSONObject:
        """See ResponsesProvider."""
        return oauth.write_document(account, tokens, refreshed_at)

    def sign_in_methods(self) -> Sequence[SignInMethod]:
        """See ResponsesProvider."""
        return authorization.METHODS

    def begin_sign_in(
        self, method: str, redirect_uri: str | None, entropy: Entropy, *, proxy: Proxy | None = None
    ) -> SignInStart:
        """See ResponsesProvider."""
        return signing_in.begin(Authority(self._client, proxy), method, redirect_uri, entropy)

    def finish_sign_in(self, method: str, state: JSON, callback: str | None, *, proxy: Proxy | None = None) -> Grant | NotYet:
        """See ResponsesProvider."""
        return signing_in.finish(Authority(self._client, proxy), method, state, callback)

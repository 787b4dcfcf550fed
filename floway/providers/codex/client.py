"""The backend's endpoints: what is said to each, framed for the wire, and how its answer is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

import zstandard

from floway import transport
from floway.providers.codex import oauth
from floway.providers.codex.protocol import catalogue, dialect, failures, quota, routing
from floway.providers.codex.protocol import constants as names
from floway.providers.codex.protocol.dialect import Host
from floway.providers.codex.protocol.headers import insert, lines
from floway.providers.codex.protocol.profiles import Profile
from floway.providers.codex.protocol.request import Outgoing
from floway.providers.codex.protocol.routing import Routing
from floway.providers.contract import (
    Account,
    Catalogue,
    Proxy,
    QuotaWindow,
    TokenGrant,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamUnreachable,
)
from floway.wire.json import dumps

_ZSTD_LEVEL = 3
_CATALOGUE_BYTES = 8 * 1024 * 1024
_TOKEN_ANSWER_BYTES = 256 * 1024
_SMALL_ANSWER_BYTES = 1024 * 1024
_SMALL_ANSWER_SECONDS = 30.0
_SIGN_IN_HEADERS = ("content-type", "accept", "host", "content-length")
# As captured of `accounts/check`; `usage` was not captured and is asked like it.
_ACCOUNT_HEADERS = (names.USER_AGENT, "authorization", names.ACCOUNT_ID, "accept", "cookie", "host")


class Compressors:
    """zstd compressors that nobody uses at the moment: making one costs more than it takes to compress a small body."""

    def __init__(self) -> None:
        self._idle: list[zstandard.ZstdCompressor] = []

    def compress(self, body: bytes) -> bytes:
        """As the official client does."""
        try:
            compressor = self._idle.pop()
        except IndexError:
            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        compressed = compressor.compress(body)
        self._idle.append(compressor)
        return compressed


@dataclass(frozen=True, slots=True)
class Client:
    """Where the backend is, which hosts a workspace may name instead, and how long to wait for it (seconds)."""

    slug: str
    base_url: str
    auth_url: str
    profile: Profile
    host: Host
    connect_timeout: float
    answer_timeout: float
    allowed_origins: Sequence[str] = ()
    compressors: Compressors = field(default_factory=Compressors, repr=False, compare=False)

    # --- responses ---

    def responses_request(self, outgoing: Outgoing, route: Routing) -> UpstreamRequest:
        """The request, whole but for cookies, which belong to the connection."""
        url = f"{routing.base_url(self.base_url, route)}/codex/responses"
        body = dumps(outgoing.body)
        if outgoing.profile.zstd:
            body = self.compressors.compress(body)
        headers = outgoing.headers | {
            "content-encoding": "zstd" if outgoing.profile.zstd else None,
            "content-type": "application/json",
        }
        return _framed("POST", url, outgoing.profile.responses_headers, headers, body)

    def send(self, request: UpstreamRequest, account: Account) -> UpstreamResponse:
        """Send a prepared request on the account's own connections, with the cookies that these were given.

        :raises UpstreamUnreachable: no answer was had.
        """
        session = self._session(account)
        cookies = transport.cookie_header(session, request.url)
        if cookies is not None:
            lines_with_cookies = insert(request.headers, self.profile.responses_headers, "cookie", cookies)
            request = replace(request, headers=lines_with_cookies)
        return self._exchange(request, account)

    # --- the account ---

    def discover(self, account: Account, now: datetime) -> Routing:
        """Which origin serves the account.

        :raises AccountUnusable: none that it may be served by. :raises UpstreamUnreachable: no answer, or none that tells.
        """
        found = routing.read(self._ask(account, "/wham/accounts/check", now), account.account_id, self.allowed_origins)
        if found is None:
            raise UpstreamUnreachable("the answer tells nothing of the account's routing")
        return found

    def poll_quota(self, account: Account, now: datetime) -> Sequence[QuotaWindow]:
        """The account's allowances.

        :raises UpstreamUnreachable: no answer, or none that tells.
        """
        found = quota.usage(self._ask(account, "/wham/usage", now), now)
        if found is None:
            raise UpstreamUnreachable("the answer tells nothing of the account's usage")
        return found

    def _ask(self, account: Account, path: str, now: datetime) -> bytes:
        url = f"{self.base_url}{path}"
        headers = {
            names.USER_AGENT: dialect.short_user_agent(self.profile, self.host),
            "authorization": f"Bearer {account.access_token}",
            names.ACCOUNT_ID: account.account_id,
            "accept": "*/*",
            "cookie": transport.cookie_header(self._session(account), url),
        }
        response = self._exchange(_framed("GET", url, _ACCOUNT_HEADERS, headers, b""), account)
        body = self._small_body(response, _SMALL_ANSWER_BYTES)
        if response.status != 200:
            raise UpstreamRefused(failures.classify(response.status, response.headers, body, now))
        return body

    # --- models ---

    def models(self, account: Account, now: datetime) -> Catalogue:
        """The account's catalogue.

        :raises UpstreamUnreachable: no answer, or none that is a catalogue.
        """
        session = self._session(account)
        url = f"{self.base_url}/codex/models?{catalogue.QUERY}={self.profile.version}"
        speaker = dialect.gateway(self.profile, self.host)
        headers = {
            names.VERSION: speaker.version,
            "authorization": f"Bearer {account.access_token}",
            names.ACCOUNT_ID: account.account_id,
            names.ORIGINATOR: speaker.originator,
            names.USER_AGENT: speaker.user_agent,
            "accept": "*/*",
            "cookie": transport.cookie_header(session, url),
        }
        response = self._exchange(_framed("GET", url, self.profile.models_headers, headers, b""), account)
        body = self._small_body(response, _CATALOGUE_BYTES)
        if response.status != 200:
            raise UpstreamRefused(failures.classify(response.status, response.headers, body, now))
        read = catalogue.read(body, response.headers.get("etag"))
        if read is None:
            raise UpstreamUnreachable("the answer is no catalogue of models")
        return read

    # --- tokens ---

    def refresh(self, account: Account, refresh_token: str, reason: str) -> TokenGrant:
        """Exchange a refresh token.

        :raises RefreshRefused: the authority said no. :raises UpstreamUnreachable: it said nothing.
        """
        body = dumps(oauth.refresh_body(refresh_token, reason if self.profile.refresh_says_why else None))
        headers: dict[str, str | None] = {
            "content-type": "application/json",
            names.ORIGINATOR: self.profile.originator,
            names.USER_AGENT: dialect.short_user_agent(self.profile, self.host),
            "accept": "*/*",
        }
        request = _framed("POST", f"{self.auth_url}/oauth/token", self.profile.refresh_headers, headers, body)
        response = self._exchange(request, account, once=True)  # a token sent twice is taken for a stolen one
        return oauth.read_refresh(response.status, self._small_body(response, _TOKEN_ANSWER_BYTES))

    def ask_authority(self, path: str, content_type: str, body: bytes, proxy: Proxy | None) -> tuple[int, bytes]:
        """A question to the auth server before there is an account: status and body of its answer.

        Header lines as captured from the official client: no originator, no user agent, no cookies.

        :raises UpstreamUnreachable: it said nothing.
        """
        headers: dict[str, str | None] = {"content-type": content_type, "accept": "*/*"}
        request = _framed("POST", f"{self.auth_url}{path}", _SIGN_IN_HEADERS, headers, body)
        response = transport.send(
            request,
            session=f"{self.slug}:sign-in",
            proxy=proxy,
            once=True,
            connect_timeout=self.connect_timeout,
            answer_timeout=min(self.answer_timeout, _SMALL_ANSWER_SECONDS),
        )
        return response.status, self._small_body(response, _TOKEN_ANSWER_BYTES)

    def _session(self, account: Account) -> str:
        return f"{self.slug}:{account.credential_id}"

    def _exchange(self, request: UpstreamRequest, account: Account, *, once: bool = False) -> UpstreamResponse:
        return transport.send(
            request,
            session=self._session(account),
            proxy=account.proxy,
            once=once,
            connect_timeout=self.connect_timeout,
            answer_timeout=self.answer_timeout,
        )

    def _small_body(self, response: UpstreamResponse, limit: int) -> bytes:
        try:
            return response.read_all(limit, _SMALL_ANSWER_SECONDS)
        finally:
            response.close()


def _framed(method: str, url: str, order: tuple[str, ...], headers: dict[str, str | None], body: bytes) -> UpstreamRequest:
    framing: dict[str, str | None] = {"host": urlsplit(url).netloc, "content-length": str(len(body)) if body else None}
    return UpstreamRequest(method, url, lines(order, headers | framing), body)

"""A sign-in's two verbs, as a conversation with the auth server. What it keeps in between goes out and comes back as state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from floway.providers.codex import authorization
from floway.providers.codex.client import Client
from floway.providers.contract import Entropy, Grant, NotYet, Proxy, SignInRefused, SignInStart, UpstreamUnreachable
from floway.wire.json import JSON, JSONObject, dumps

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Authority:
    """The auth server, and what all that is asked of it goes through."""

    client: Client
    proxy: Proxy | None

    @property
    def url(self) -> str:
        """Where it is."""
        return self.client.auth_url

    def ask(self, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """:raises UpstreamUnreachable: it said nothing."""
        return self.client.ask_authority(path, content_type, body, self.proxy)


def begin(authority: Authority, method: str, redirect_uri: str | None, entropy: Entropy) -> SignInStart:
    """See ResponsesProvider.begin_sign_in. In the browser nothing is asked of the auth server yet."""
    if method == authorization.DEVICE.slug:
        return _begin_with_code(authority)
    state = authorization.begin(redirect_uri or authorization.REDIRECT_URI, entropy)
    return SignInStart(authorization.authorize_url(authority.url, state), state)


def finish(authority: Authority, method: str, state: JSON, callback: str | None) -> Grant | NotYet:
    """See ResponsesProvider.finish_sign_in."""
    known: JSONObject = state if isinstance(state, dict) else {}
    if method == authorization.DEVICE.slug:
        return _finish_with_code(authority, known)
    if callback is None:
        raise SignInRefused("The address is missing.", again=True)
    code = authorization.read_callback(known, callback)
    return _exchange(authority, code, authorization.Exchange(str(known["verifier"]), str(known["redirect_uri"])))


def _begin_with_code(authority: Authority) -> SignInStart:
    body = dumps(authorization.device_request())
    device = authorization.read_device(*authority.ask("/api/accounts/deviceauth/usercode", _JSON, body))
    return SignInStart(
        url=f"{authority.url}/codex/device",
        state={"device_auth_id": device.device_auth_id, "user_code": device.user_code},
        user_code=device.user_code,
        poll=timedelta(seconds=device.poll_seconds),
        lifetime=authorization.DEVICE_LIFETIME,
    )


def _finish_with_code(authority: Authority, state: JSONObject) -> Grant | NotYet:
    try:
        answer = authority.ask("/api/accounts/deviceauth/token", _JSON, dumps(authorization.poll_request(state)))
    except UpstreamUnreachable as error:
        raise SignInRefused("The provider gave no answer. Check again in a moment.", again=True) from error
    found = authorization.read_poll(*answer)
    if found is None:
        return NotYet()
    code, verifier = found
    return _exchange(authority, code, authorization.Exchange(verifier, f"{authority.url}/deviceauth/callback"))


def _exchange(authority: Authority, code: str, exchange: authorization.Exchange) -> Grant:
    form = authorization.exchange_form(code, exchange)
    return authorization.read_grant(*authority.ask("/oauth/token", _FORM, form))

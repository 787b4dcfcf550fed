"""Signing in: what is said to the auth server and what its answers say. Values in, values out.

Captured from the official client 0.169.0: the link of a sign-in in the browser, and the requests of one with a code, its
exchange included. Not captured, but taken from its public source (openai/codex, `codex-rs/login`: `server.rs`, `pkce.rs`,
`device_code_auth.rs`): the exchange of a sign-in in the browser, and every answer of the auth server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

from floway.providers.codex import oauth
from floway.providers.codex.protocol.upstream_text import sentence, word
from floway.providers.contract import Entropy, Grant, InvalidDocument, SignInField, SignInMethod, SignInRefused
from floway.wire.json import JSON, InvalidJSON, JSONObject, loads

# The client asks for two more, to use its connectors with; the gateway has none.
SCOPE = "openid profile email offline_access"
# The login command's name for itself, whatever the client does afterwards.
ORIGINATOR = "codex_cli_rs"
# As the client 0.169.0 was seen to state it; its public source has localhost.
REDIRECT_URI = "http://127.0.0.1:1455/auth/callback"

BROWSER = SignInMethod(
    slug="browser",
    label="In the browser",
    help_text="Open a link, sign in, and bring back the address that you end up on.",
    steps=(
        "Open the link below and sign in with the account that the gateway shall use.",
        "At the end your browser is sent to an address on your own machine that begins with http://127.0.0.1:1455/.",
        "If your browser says that it cannot reach that page, that is as it should be: nothing listens there.",
        "Copy the whole address out of the address bar and paste it below.",
    ),
    redirect_uri=REDIRECT_URI,
    callback=SignInField(
        "The address you ended up on",
        "It begins with http://127.0.0.1:1455/auth/callback? and is read here, never fetched.",
    ),
)
DEVICE = SignInMethod(
    slug="device",
    label="With a code",
    help_text="Open a page on any device and type in a short code. Your account's security settings must allow device codes.",
    steps=(
        "Open the link below, on this device or on another, and sign in with the account that the gateway shall use.",
        "Type in the code. Give it to nobody, and type in no code that somebody else gave you.",
        "Come back here and check.",
    ),
)
METHODS = (BROWSER, DEVICE)

_VERIFIER_BYTES = 64
_STATE_BYTES = 32
_LONGEST_CALLBACK = 8 * 1024
_MOST_PARAMETERS = 32
_LONGEST_CODE = 4096
_CODE = re.compile(r"[\x21-\x7e]+")
_USER_CODE = re.compile(r"[A-Za-z0-9]+(?:[- ][A-Za-z0-9]+)*")
_LONGEST_USER_CODE = 32
_SHORTEST_POLL_SECONDS, _DEFAULT_POLL_SECONDS, _LONGEST_POLL_SECONDS = 1, 5, 60
DEVICE_LIFETIME = timedelta(minutes=15)
"""What the official client tells its user; the auth server does not say."""


def token68(data: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Exchange:
    """What turns an authorization code into tokens: the verifier, and the redirect that it was asked with."""

    verifier: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device code that waits for its person."""

    device_auth_id: str = field(repr=False)
    user_code: str = field(repr=False)
    poll_seconds: int = _DEFAULT_POLL_SECONDS


# --- in the browser ---


def challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636)."""
    return token68(hashlib.sha256(verifier.encode()).digest())


def begin(redirect_uri: str, entropy: Entropy) -> dict[str, JSON]:
    """A new sign-in's state, to be kept sealed."""
    verifier, state = token68(entropy(_VERIFIER_BYTES)), token68(entropy(_STATE_BYTES))
    return {"verifier": verifier, "state": state, "redirect_uri": redirect_uri}


def authorize_url(auth_url: str, state: JSONObject) -> str:
    """Where the person signs in."""
    parameters = {
        "response_type": "code",
        "client_id": oauth.CLIENT_ID,
        "redirect_uri": state["redirect_uri"],
        "code_challenge": challenge(str(state["verifier"])),
        "code_challenge_method": "S256",
        "state": state["state"],
        "scope": SCOPE,
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
        "originator": ORIGINATOR,
    }
    return f"{auth_url}/oauth/authorize?{urlencode(parameters)}"


def read_callback(state: JSONObject, callback: str) -> str:
    """The authorization code in the address that the browser was sent to.

    :raises SignInRefused: it holds none for this sign-in.
    """
    parameters = _parameters(str(state["redirect_uri"]), callback.strip())
    if not hmac.compare_digest(parameters.get("state", "").encode(), str(state["state"]).encode()):
        raise SignInRefused("That address belongs to another sign-in. Open the link of this one.", again=True)
    if "error" in parameters:
        raise SignInRefused(_told(parameters["error"], parameters.get("error_description")))
    code = parameters.get("code", "")
    if not _CODE.fullmatch(code) or len(code) > _LONGEST_CODE:
        raise SignInRefused("That address holds no code. Copy the whole of it.", again=True)
    return code


def _parameters(redirect_uri: str, callback: str) -> dict[str, str]:
    wrong = SignInRefused(f"That is not the address that the sign-in ends on. It begins with {redirect_uri}?", again=True)
    try:
        parts = urlsplit(callback)
        pairs = parse_qsl(parts.query, max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:
        raise wrong from error
    found = dict(pairs)
    if len(callback) > _LONGEST_CALLBACK or parts._replace(query="", fragment="").geturl() != redirect_uri or not pairs:
        raise wrong
    if len(found) != len(pairs):
        raise SignInRefused("That address says something twice. Copy it anew.", again=True)
    return found


def _told(code: str, description: str | None) -> str:
    said = sentence(description) or word(code) or "it did not say why"
    return f"The sign-in was refused: {said}"


# --- with a code ---


def device_request() -> dict[str, JSON]:
    """Asks for a device code."""
    return {"client_id": oauth.CLIENT_ID}


def read_device(status: int, body: bytes) -> Device:
    """The device code in the auth server's answer.

    :raises SignInRefused: it gave none.
    """
    answer = _answer(body)
    if status == 404:
        raise SignInRefused("The provider does not offer sign-in with a code here. Sign in in the browser.")
    device_id, user_code = answer.get("device_auth_id"), answer.get("user_code") or answer.get("usercode")
    usable = isinstance(device_id, str) and _CODE.fullmatch(device_id) and len(device_id) <= _LONGEST_CODE
    if status != 200 or not usable or not isinstance(user_code, str) or not _is_user_code(user_code):
        raise SignInRefused(f"The provider gave no code (status {status}).")
    return Device(str(device_id), user_code, _seconds(answer.get("interval")))


def _is_user_code(text: str) -> bool:
    return len(text) <= _LONGEST_USER_CODE and bool(_USER_CODE.fullmatch(text))


def _seconds(interval: JSON) -> int:
    """The official client reads a text of digits; a number is understood too."""
    text = str(interval).strip()
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else _DEFAULT_POLL_SECONDS
    return min(max(seconds, _SHORTEST_POLL_SECONDS), _LONGEST_POLL_SECONDS)


def poll_request(state: JSONObject) -> dict[str, JSON]:
    """Asks whether the person is done."""
    return {"device_auth_id": state["device_auth_id"], "user_code": state["user_code"]}


def read_poll(status: int, body: bytes) -> tuple[str, str] | None:
    """The authorization code and its verifier, which the auth server made here; None while the person is not done.

    :raises SignInRefused: it gave neither.
    """
    if status in (403, 404) and not body.lstrip().startswith(b"<"):
        return None
    answer = _answer(body)
    code, verifier = answer.get("authorization_code"), answer.get("code_verifier")
    for value in (code, verifier):
        if status != 200 or not isinstance(value, str) or not _CODE.fullmatch(value) or len(value) > _LONGEST_CODE:
            raise SignInRefused(f"The provider did not say how the sign-in stands (status {status}).", again=status != 200)
    return str(code), str(verifier)


# --- both ---


def exchange_form(code: str, exchange: Exchange) -> bytes:
    """The body that turns a code into tokens, form-encoded, in the client's order."""
    parameters = {
        "grant_type": "authorization_code",
        "client_id": oauth.CLIENT_ID,
        "code": code,
        "redirect_uri": exchange.redirect_uri,
        "code_verifier": exchange.verifier,
    }
    return urlencode(parameters).encode()


def read_grant(status: int, body: bytes) -> Grant:
    """The login in the auth server's answer. It came straight from there over TLS, so its signature is not needed.

    :raises SignInRefused: it holds none that could be kept alive.
    """
    answer = _answer(body)
    if status != 200:
        error = answer.get("error")
        said = error if isinstance(error, dict) else {"code": error, "message": answer.get("error_description")}
        told = sentence(said.get("message")) or word(said.get("code")) or f"status {status}"
        raise SignInRefused(f"The provider did not accept the code: {told}")
    tokens = {name: answer.get(name) for name in ("access_token", "refresh_token", "id_token")}
    if not all(tokens.values()):
        raise SignInRefused("The provider's answer lacks a token.")
    _check_addressee(tokens["id_token"], tokens["access_token"])
    try:
        return oauth.read_document({"tokens": tokens})
    except InvalidDocument as error:
        raise SignInRefused(f"The provider's answer is no usable login: {error}") from error


def _check_addressee(id_token: JSON, access_token: JSON) -> None:
    """Both tokens are one account's, and the one that says who it is was made for this client."""
    identity, access = (oauth.claims(token if isinstance(token, str) else None) for token in (id_token, access_token))
    if identity.audience and oauth.CLIENT_ID not in identity.audience:
        raise SignInRefused("The provider's answer is a login for another program.")
    if not identity.account_id or (access.account_id and access.account_id != identity.account_id):
        raise SignInRefused("The provider's answer does not say whose login it is.")


def _answer(body: bytes) -> JSONObject:
    try:
        answer = loads(body)
    except InvalidJSON:
        return {}
    return answer if isinstance(answer, dict) else {}

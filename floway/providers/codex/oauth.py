"""Logins: reading one out of a document, refreshing it, and what its tokens say. No signature is checked; none is relied on."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from floway.providers.codex.protocol.ids import is_uuid4
from floway.providers.codex.protocol.upstream_text import sentence, word
from floway.providers.contract import Account, FailureKind, Grant, InvalidDocument, RefreshRefused, TokenGrant
from floway.wire.json import JSON, InvalidJSON, JSONObject, loads

CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
_AUTH_CLAIM = "https://api.openai.com/auth"
_PROFILE_CLAIM = "https://api.openai.com/profile"
_LATEST_EXPIRY = 253_402_300_799  # the end of year 9999, beyond which datetime has no words

# Each value of a login and the names it goes by: the official client's own, then the camel case of other tools.
_ID_TOKEN = ("id_token", "idToken")
_ACCESS_TOKEN = ("access_token", "accessToken")
_REFRESH_TOKEN = ("refresh_token", "refreshToken")
_ACCOUNT_ID = ("account_id", "accountId", "chatgpt_account_id", "chatgptAccountId")
_DEVICE_ID = ("openaiDeviceId", "openai_device_id")
_NESTED_IN = ("tokens", "credentials", "credential", "auth")

# No later try with the same token succeeds after one of these; anything else may pass.
_TERMINAL = frozenset(
    {
        "app_session_terminated",
        "invalid_grant",
        "refresh_token_expired",
        "refresh_token_invalidated",
        "refresh_token_reused",
    }
)
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_LONGEST_TOKEN = 16 * 1024
_LONGEST_ID = 128
_SECRET_KEY = re.compile(r"token|key|secret|passw|cookie|credential|auth(?!_?mode)", re.IGNORECASE)
_LONGEST_REST = 256


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of its bearer; an empty text is a claim that isn't there."""

    email: str = ""
    account_id: str = ""
    user_id: str = ""
    plan: str = ""
    expires_at: datetime | None = None
    audience: tuple[str, ...] = ()


def claims(token: str | None) -> Claims:
    """The claims of a JWT; none of a text that is no JWT."""
    payload = _payload(token or "")
    auth, profile = _object(payload.get(_AUTH_CLAIM)), _object(payload.get(_PROFILE_CLAIM))
    return Claims(
        email=_first_text(payload.get("email"), profile.get("email")),
        account_id=_first_text(auth.get("chatgpt_account_id")),
        user_id=_first_text(auth.get("chatgpt_user_id"), auth.get("user_id"), payload.get("sub")),
        plan=_first_text(auth.get("chatgpt_plan_type")),
        expires_at=_expiry(payload.get("exp")),
        audience=_audience(payload.get("aud")),
    )


def _audience(value: JSON) -> tuple[str, ...]:
    return tuple(entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, str))


def _payload(token: str) -> JSONObject:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST_TOKEN:
        return {}
    try:
        return _object(loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))))
    except (binascii.Error, InvalidJSON, ValueError):
        return {}


def _object(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}


def _first_text(*values: JSON) -> str:
    """The first usable text, fit for a page and a row."""
    for value in values:
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:_LONGEST_REST]
    return ""


def _expiry(value: JSON) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LATEST_EXPIRY:
        return None
    return datetime.fromtimestamp(int(value), UTC)


# --- import ---


def read_document(document: JSON) -> Grant:
    """The login in an `auth.json`, nested as the official client writes it or flat as other tools do.

    :raises InvalidDocument: it holds none that could be used.
    """
    if not isinstance(document, dict):
        raise InvalidDocument("The document is no JSON object.")
    access, identity = _secret(document, _ACCESS_TOKEN), _secret(document, _ID_TOKEN)
    if access is None:
        raise InvalidDocument(
            "The document holds an API key, not a login." if _says_api_key(document) else "The document holds no access token."
        )
    of_identity, of_access = claims(identity), claims(access)
    account_id = _first_text(_find(document, _ACCOUNT_ID)) or of_identity.account_id or of_access.account_id
    if not _HEADER_SAFE.fullmatch(account_id) or len(account_id) > _LONGEST_ID:
        raise InvalidDocument("Neither the document nor its tokens name a usable account id.")
    if _secret(document, _REFRESH_TOKEN) is None:
        raise InvalidDocument("The document holds no refresh token: the login would die with its access token.")
    user_id = of_identity.user_id or of_access.user_id
    device_id = _find(document, _DEVICE_ID)
    return Grant(
        subject=f"{account_id}:{user_id}" if user_id else account_id,
        email=of_identity.email or of_access.email or _first_text(document.get("email")),
        account_id=account_id,
        user_id=user_id,
        plan=of_identity.plan or of_access.plan,
        tokens=TokenGrant(access, _secret(document, _REFRESH_TOKEN), identity, of_access.expires_at),
        device_id=device_id if is_uuid4(device_id) else None,
        rest=_rest(document),
    )


def _says_api_key(document: JSONObject) -> bool:
    return any(isinstance(document.get(name), str) for name in ("OPENAI_API_KEY", "api_key", "apiKey"))


def _levels(document: JSONObject) -> Iterator[JSONObject]:
    yield from (_object(document.get(name)) for name in _NESTED_IN)
    yield document


def _find(document: JSONObject, names: tuple[str, ...]) -> JSON:
    for level in _levels(document):
        for name in names:
            if level.get(name):
                return level[name]
    return None


def _secret(document: JSONObject, names: tuple[str, ...]) -> str | None:
    value = _find(document, names)
    if value is None:
        return None
    token = _token(value.strip() if isinstance(value, str) else value)
    if token is None:
        raise InvalidDocument(f"'{names[0]}' is no token.")
    return token


def _rest(document: JSONObject) -> dict[str, JSON]:
    """The plain values of the document that are certainly no secrets."""
    return {
        key: value
        for key, value in document.items()
        if not _SECRET_KEY.search(key)
        and (
            isinstance(value, bool | int | float)
            or (isinstance(value, str) and sentence(value) == value and len(value) <= _LONGEST_REST)
        )
    }


# --- export ---


def write_document(account: Account, tokens: TokenGrant, refreshed_at: datetime | None) -> dict[str, JSON]:
    """An `auth.json` as the official client keeps it, and the device id that it would not know."""
    kept = {
        "id_token": tokens.id_token,
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "account_id": account.account_id,
    }
    document: dict[str, JSON] = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": kept}
    if refreshed_at is not None:
        document["last_refresh"] = refreshed_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {**account.extras, **document, _DEVICE_ID[0]: account.device_id}


# --- refresh ---


def refresh_body(refresh_token: str, reason: str | None) -> dict[str, JSON]:
    """What a refresh sends, keys as the official client has them; a None reason is of a client that gives none."""
    body: dict[str, JSON] = {"client_id": CLIENT_ID, "grant_type": "refresh_token"}
    if reason is not None:
        body["refresh_reason"] = reason
    return body | {"refresh_token": refresh_token}


def read_refresh(status: int, body: bytes) -> TokenGrant:
    """The tokens in the authority's answer.

    :raises RefreshRefused: it holds none.
    """
    try:
        answer = _object(loads(body))
    except InvalidJSON:
        answer = {}
    access = _token(answer.get("access_token"))
    if status != 200 or access is None:
        raise _refusal(status, answer)
    return TokenGrant(access, _token(answer.get("refresh_token")), _token(answer.get("id_token")), claims(access).expires_at)


def _token(value: JSON) -> str | None:
    usable = isinstance(value, str) and len(value) <= _LONGEST_TOKEN and _HEADER_SAFE.fullmatch(value)
    return str(value) if usable else None


def _refusal(status: int, answer: JSONObject) -> RefreshRefused:
    """Of `{"error": {"code", "message"}}`, or RFC 6749's `{"error", "error_description"}`; terminal only as 400 or 401."""
    error = answer.get("error")
    said = error if isinstance(error, dict) else {"code": error, "message": answer.get("error_description")}
    code = word(said.get("code")) or word(said.get("type")) or f"http_{status}"
    told = sentence(said.get("message")) or f"The authority answered with status {status}."
    return RefreshRefused(code, told, terminal=status in (400, 401) and code in _TERMINAL, kind=_kind(status, answer, code))


def _kind(status: int, answer: JSONObject, code: str) -> FailureKind:
    """The authority itself refuses in JSON; a 403 that is none, or that names the region, was given in front of it."""
    if (status == 403 and not answer) or code == "unsupported_country_region_territory":
        return FailureKind.EDGE_BLOCKED
    return FailureKind.RATE_LIMITED if status == 429 else FailureKind.UPSTREAM

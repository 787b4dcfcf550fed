"""Logins that work with the simulated upstream only: what stands in a token is all that there is to it, nothing is signed."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
_CLAIMS = "https://api.openai.com/auth"
_REFRESH_MARK = "rt_simulated."


@dataclass(frozen=True, slots=True)
class Login:
    """A made-up person with a made-up subscription."""

    account_id: str = "5b1f8a52-6d0c-4a3e-9f4e-0f3d6f1b2c3d"
    user_id: str = "user-simulated"
    email: str = "demo@example.com"
    plan: str = "plus"

    def access_token(self, expires_at: int, serial: int = 0) -> str:
        """A bearer that the simulated upstream accepts until `expires_at` (Unix seconds)."""
        return _token({"aud": ["https://api.openai.com/v1"], "exp": expires_at, "jti": f"access-{serial}", **self._claims()})

    def id_token(self, expires_at: int, serial: int = 0) -> str:
        """Says who the person is."""
        claims = {"aud": [CLIENT], "exp": expires_at, "jti": f"id-{serial}", "email": self.email, "email_verified": True}
        return _token({**claims, **self._claims()})

    def refresh_token(self, serial: int = 0) -> str:
        """Good for one exchange."""
        fields = [self.account_id, self.user_id, self.email, self.plan, serial]
        return _REFRESH_MARK + _encode(fields)

    def document(self, expires_at: int, serial: int = 0) -> dict[str, Any]:
        """What the official client would keep for this login."""
        return {
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": None,
            "tokens": {
                "id_token": self.id_token(expires_at, serial),
                "access_token": self.access_token(expires_at, serial),
                "refresh_token": self.refresh_token(serial),
                "account_id": self.account_id,
            },
            "last_refresh": "2026-11-23T00:00:00.000000Z",
        }

    def _claims(self) -> dict[str, Any]:
        return {
            "iss": "https://auth.openai.com",
            "sub": f"auth0|{self.user_id}",
            "iat": 1_700_000_000,
            _CLAIMS: {
                "chatgpt_account_id": self.account_id,
                "chatgpt_plan_type": self.plan,
                "chatgpt_user_id": self.user_id,
                "user_id": self.user_id,
            },
        }


def bearer_claims(token: str) -> tuple[str, int] | None:
    """The account id and expiry that a bearer states, or None where it is none of ours."""
    parts = token.split(".")
    try:
        claims = json.loads(_decode(parts[1]))
        return str(claims[_CLAIMS]["chatgpt_account_id"]), int(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def read_refresh_token(token: str) -> tuple[Login, int] | None:
    """The login and serial number of a refresh token, or None where it is none of ours."""
    if not token.startswith(_REFRESH_MARK):
        return None
    try:
        *person, serial = json.loads(_decode(token.removeprefix(_REFRESH_MARK)))
        return Login(*person), int(serial)
    except (TypeError, ValueError):
        return None


def _token(claims: dict[str, Any]) -> str:
    return f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{_encode(claims)}.c2ltdWxhdGVk"


def _encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error

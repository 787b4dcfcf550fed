"""Rows for tests, as plain functions: what is not said is plausible."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from accounts import keys
from accounts.models import CredentialTokens, OAuthCredential
from accounts.tokens import sealed_columns
from floway.providers.codex.simulated.logins import Login
from floway.providers.contract import TokenGrant
from tests.fakes.tokens import ALICE, LONG_FROM_NOW


def make_credential(login: Login = ALICE, *, expires_at: int = LONG_FROM_NOW, serial: int = 0, **over: Any) -> OAuthCredential:
    """A credential with tokens that the fake upstream accepts."""
    fields = {
        "provider": "codex",
        "subject": f"{login.account_id}/{login.user_id}",
        "email": login.email,
        "account_id": login.account_id,
        "user_id": login.user_id,
        "plan": login.plan,
    }
    credential = OAuthCredential.objects.create(**{**fields, **over})
    grant = TokenGrant(
        access_token=login.access_token(expires_at, serial),
        refresh_token=login.refresh_token(serial),
        id_token=login.id_token(expires_at, serial),
        access_expires_at=datetime.fromtimestamp(expires_at, UTC),
    )
    CredentialTokens.objects.create(credential=credential, **sealed_columns(credential.pk, grant))
    return credential


def make_key(name: str = "test", **over: Any) -> keys.Issued:
    """An API key, with its secret."""
    return keys.issue(name, **over)

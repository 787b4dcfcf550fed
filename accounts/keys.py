"""API keys: issued, shown once, recognised."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import ApiKey, ApiKeySecret
from floway.providers import registry
from floway.sealing import lookup_hash
from floway.wire.errors import Unauthenticated
from floway.wire.headers import Headers

_MARK = "fw_"
_PREFIX_LENGTH = 10
_LONGEST = 256
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its secret, which is not to be had again."""

    key: ApiKey
    secret: str = field(repr=False)


def issue(name: str, *, provider: str | None = None, strict: bool = False, expires_at: datetime | None = None) -> Issued:
    """A new key for `provider` (by default the first configured).

    :raises floway.providers.registry.UnknownProvider: no such provider.
    """
    slug = registry.get(provider or registry.default_slug()).slug
    with transaction.atomic():
        key = ApiKey.objects.create(name=name, provider=slug, strict=strict, expires_at=expires_at)
        return Issued(key, _add_secret(key))


def rotate(key: ApiKey) -> str:
    """A new secret for `key`; every older one stops working now."""
    with transaction.atomic():
        key.secrets.all().delete()
        return _add_secret(key)


def _add_secret(key: ApiKey) -> str:
    secret = _MARK + secrets.token_urlsafe(32)
    ApiKeySecret.objects.create(key=key, prefix=secret[:_PREFIX_LENGTH], digest=_digest(secret))
    return secret


def _digest(secret: str) -> bytes:
    return lookup_hash("api-key", secret.encode("utf-8", "surrogateescape"))


def presented(headers: Headers) -> str | None:
    """The secret a request brings. `x-api-key` wins: some clients put a login of their own into `authorization`."""
    if "x-api-key" in headers:
        return headers.get("x-api-key")
    scheme, _, token = (headers.get("authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def authenticate(headers: Headers, now: datetime) -> ApiKey:
    """The key that `headers` bring.

    :raises Unauthenticated: none, or one that is unknown, disabled or expired; told apart nowhere.
    """
    secret = presented(headers)
    if secret is None:
        raise Unauthenticated("No API key was given. Send it as 'Authorization: Bearer KEY' or as 'x-api-key'.")
    digest = _digest(secret[:_LONGEST])
    found = ApiKeySecret.objects.select_related("key").filter(digest=digest).first()
    known = hmac.compare_digest(bytes(found.digest), digest) if found is not None else False
    if found is None or not known or not found.key.may_call(now):
        raise Unauthenticated("The API key is not valid.")
    return found.key


def note_use(key: ApiKey, now: datetime) -> None:
    """Remember that `key` was used, at most once a minute; belongs into a write transaction that is open anyway."""
    if key.last_used_at is None or now - key.last_used_at > _USE_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)

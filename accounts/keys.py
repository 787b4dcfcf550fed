"""API keys: issued, shown once, recognised."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts import editions, statements
from accounts.models import ApiKey, ApiKeySecret, KeyBudget
from floway import sql
from floway.providers import registry
from floway.sealing import lookup_hash
from floway.wire.errors import Unauthenticated
from floway.wire.headers import Headers, bearer

_MARK = "fw_"
_PREFIX_LENGTH = 10
_LONGEST = 256
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its secret, which is not to be had again."""

    key: ApiKey
    secret: str = field(repr=False)


def issue(
    name: str,
    *,
    provider: str | None = None,
    strict: bool = False,
    expires_at: datetime | None = None,
    allowed_models: Sequence[str] = (),
    max_in_flight: int | None = None,
    budgets: Sequence[KeyBudget] = (),
) -> Issued:
    """A new key for `provider` (by default the first configured).

    :param budgets: unsaved, of no key.
    :raises floway.providers.registry.UnknownProvider: no such provider.
    """
    slug = registry.get(provider or registry.default_slug()).slug
    with transaction.atomic():
        key = ApiKey.objects.create(
            name=name,
            provider=slug,
            strict=strict,
            expires_at=expires_at,
            allowed_models=list(allowed_models),
            max_in_flight=max_in_flight,
            has_budgets=bool(budgets),
        )
        key.budgets.add(*budgets, bulk=False)
        return Issued(key, _add_secret(key))


def lock_budgets(key: ApiKey) -> None:
    """Before any is changed, in the open transaction: the key, then its budgets by number, as turns lock them."""
    list(ApiKey.objects.select_for_update(no_key=True).filter(pk=key.pk).values_list("pk"))
    list(key.budgets.select_for_update().order_by("pk").values_list("pk"))


def note_budgets(key: ApiKey) -> None:
    """Let `key` know whether it has budgets, after any was added or taken away."""
    key.has_budgets = KeyBudget.objects.filter(key=key).exists()
    key.save(update_fields=["has_budgets"])


def rotate(key: ApiKey, ends_at: datetime | None = None) -> str:
    """A new secret for `key`; the older ones stop working now, or at `ends_at` where that is sooner than was said before."""
    with transaction.atomic():
        if ends_at is None:
            key.secrets.all().delete()
        else:
            key.secrets.filter(expires_at__lte=Now()).delete()
            key.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=ends_at)).update(expires_at=ends_at)
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
    return bearer(headers.get("authorization"))


def authenticate(headers: Headers, now: datetime) -> ApiKey:
    """The key that `headers` bring.

    :raises Unauthenticated: none, or one that is unknown, rotated out, disabled or expired; told apart nowhere.
    """
    secret = presented(headers)
    if secret is None:
        raise Unauthenticated("No API key was given. Send it as 'Authorization: Bearer KEY' or as 'x-api-key'.")
    digest = _digest(secret[:_LONGEST])
    mark = editions.current()
    found = editions.answer(mark, ("secret", digest), lambda: statements.secret(digest))
    known = hmac.compare_digest(bytes(found.digest), digest) if found is not None else False
    if found is None or not known or not found.opens(now) or not found.key.may_call(now):
        raise Unauthenticated("The API key is not valid.")
    secret_row = sql.copied(found)
    key = secret_row.key
    key.presented, key.mark = secret_row, mark
    return key


def note_use(key: ApiKey, now: datetime) -> None:
    """Remember that `key` was used, and by which secret, at most once a minute; belongs into an open write transaction."""
    noted = editions.noted(key.mark)
    for row in (key, key.presented):
        if row is None or not _is_due(noted.get((type(row), row.pk), row.last_used_at), now):
            continue
        type(row)._default_manager.filter(pk=row.pk).update(last_used_at=now)
        transaction.on_commit(partial(noted.__setitem__, (type(row), row.pk), now))


def _is_due(noted_at: datetime | None, now: datetime) -> bool:
    return noted_at is None or now - noted_at > _USE_NOTED_EVERY

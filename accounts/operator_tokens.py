"""Tokens of operators' programs: issued, shown once, recognised, revoked; and how fast a person's programs may go."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, F, Value, When

from accounts import audit
from accounts.models import OperatorPace, OperatorToken
from floway.sealing import lookup_hash

_MARK = "fwo_"
_PREFIX_LENGTH = 11
_LONGEST = 200
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token and its secret, which is not to be had again."""

    token: OperatorToken
    secret: str = field(repr=False)


def issue(user: User, name: str, *, read_only: bool, expires_at: datetime | None) -> Issued:
    """A new token that acts as `user`."""
    secret = _MARK + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = OperatorToken.objects.create(
            user=user,
            name=name,
            prefix=secret[:_PREFIX_LENGTH],
            digest=_digest(secret),
            read_only=read_only,
            expires_at=expires_at,
        )
        audit.record("token issued", token, acts_as=user.get_username(), read_only=read_only)
    return Issued(token, secret)


def recognise(secret: str, now: datetime) -> OperatorToken | None:
    """The token of that secret, if it is good and its person may sign in."""
    digest = _digest(secret[:_LONGEST])
    found = OperatorToken.objects.select_related("user").filter(digest=digest).first()
    if found is None or not hmac.compare_digest(bytes(found.digest), digest) or not found.opens(now):
        return None
    if not (found.user.is_active and found.user.is_staff):
        return None
    if found.last_used_at is None or now - found.last_used_at > _USE_NOTED_EVERY:
        OperatorToken.objects.filter(pk=found.pk).update(last_used_at=now)
    return found


def revoke(token: OperatorToken, now: datetime) -> bool:
    """End it at once; False where it had ended."""
    with transaction.atomic():
        ended = OperatorToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now)
        if ended:
            audit.record("token revoked", token, acts_as=token.user.get_username())
    return bool(ended)


def pace(user: User, now: datetime) -> int:
    """How many requests this person's programs have made in this minute, this one included."""
    minute = now.replace(second=0, microsecond=0)
    with transaction.atomic():
        OperatorPace.objects.bulk_create([OperatorPace(user=user, minute=minute)], ignore_conflicts=True)
        mine = OperatorPace.objects.filter(user=user)
        mine.update(requests=Case(When(minute=minute, then=F("requests") + 1), default=Value(1)), minute=minute)
        return mine.values_list("requests", flat=True).get()


def _digest(secret: str) -> bytes:
    return lookup_hash("operator-token", secret.encode("utf-8", "surrogatepass"))

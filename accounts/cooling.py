"""Credentials that have met a limit: how long they are left alone, and who tries them first.

The state machine (`accounts.states`) puts them to rest. When that ends, one request tries; to the others the credential rests
until it answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q

from accounts import quota, states
from accounts.models import OAuthCredential
from floway.providers.contract import Failure, QuotaWindow
from floway.wire.errors import ApiError, Unavailable

log = logging.getLogger(__name__)

PROBE_LEASE = timedelta(minutes=2)
"""How long a request that tries a rested credential may take to have its answer's head before another tries."""
_BRIEFLY = 5
_State = OAuthCredential.State


def admits(credential: OAuthCredential, now: datetime) -> bool:
    """May a request be sent with it now? Takes the probe if it has rested; the answer, or `give_back`, ends that."""
    if credential.state not in _State.timed():
        return credential.state == _State.ACTIVE
    if credential.state_until is not None and credential.state_until > now:
        return False
    free = Q(probe_until=None) | Q(probe_until__lt=now)
    rested = Q(state_until=None) | Q(state_until__lte=now)
    rows = OAuthCredential.objects.filter(free, rested, pk=credential.pk, state__in=_State.timed())
    return (
        bool(rows.update(probe_until=now + PROBE_LEASE))
        or OAuthCredential.objects.filter(pk=credential.pk, state=_State.ACTIVE).exists()
    )


def give_back(credential: OAuthCredential) -> None:
    """The try told nothing about the limit; somebody else may try."""
    if credential.state in _State.timed():
        _write(lambda: OAuthCredential.objects.filter(pk=credential.pk, state__in=_State.timed()).update(probe_until=None))


def refused(
    credential: OAuthCredential, expected: bytes, failure: Failure, windows: Sequence[QuotaWindow], now: datetime
) -> None:
    """Note what a refusal says of the credential and of its allowances; the state machine decides whether it rests.

    :param expected: the fingerprint of the refresh token that it was used with.
    """
    _write(lambda: quota.note(credential.pk, windows, now))
    _write(lambda: states.failed(credential.pk, failure, expected=expected, now=now))
    give_back(credential)


def clear(credential_id: int) -> bool:
    """End its rest at an operator's word; False where it wasn't resting."""
    with transaction.atomic():
        rows = OAuthCredential.objects.filter(pk=credential_id, state__in=_State.timed()).select_for_update()
        for credential in rows:
            credential.hold_seconds = 0
            credential.enter(_State.ACTIVE, "")
            return True
    return False


def _write(write: Callable[[], object]) -> None:
    """What is lost here is told again by the next refusal: no reason to fail a turn."""
    try:
        write()
    except DatabaseError:
        log.exception("a credential's rest could not be written")


def limited(resting: Sequence[OAuthCredential], now: datetime) -> ApiError:
    """What a caller is told while everything that could serve it rests: a spent account's reset, or a time to come back."""
    spent = [credential for credential in resting if credential.resets_at is not None and credential.resets_at > now]
    if spent and len(spent) == len(resting):
        resets_at = min(credential.resets_at for credential in spent if credential.resets_at is not None)
        seconds = _seconds(now, resets_at)
        return ApiError(
            "The usage limit has been reached.",
            status=429,
            type="usage_limit_reached",
            code="usage_limit_reached",
            retry_after=seconds,
            details={"resets_at": int(resets_at.timestamp()), "resets_in_seconds": seconds},
        )
    waits = [_seconds(now, row.state_until) for row in resting if row.state_until is not None and row.state_until > now]
    wait = min(waits, default=_BRIEFLY)
    if not any(credential.state == _State.RATE_LIMITED for credential in resting):
        return Unavailable("The gateway cannot reach its upstream now; its operator can see why.", retry_after=wait)
    return ApiError(
        "Rate limit reached; try again shortly.",
        status=429,
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after=wait,
    )


def _seconds(now: datetime, then: datetime) -> int:
    return max(1, -int((now - then).total_seconds() // 1))

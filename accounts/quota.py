"""What credentials have left: noted whenever an answer tells it, sampled for history, and asked for gently in between."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import tokens
from accounts.models import OAuthCredential, QuotaReading, QuotaSample
from floway.providers import registry
from floway.providers.contract import FailureKind, QuotaWindow, UpstreamRefused, UpstreamUnreachable
from floway.wire.errors import ApiError

log = logging.getLogger(__name__)

SLOT = timedelta(minutes=15)
KEPT = timedelta(days=35)
REPEATED_AFTER = timedelta(minutes=1)


_Key = tuple[int, str, str]
_noted: dict[_Key, tuple[QuotaWindow, datetime]] = {}
"""What this process last wrote of each window, and when: what has not changed since is no news."""


def news(credential_id: int, windows: Sequence[QuotaWindow], now: datetime) -> list[QuotaWindow]:
    """Those that say something else than this process last noted of them, or were noted over a minute ago."""

    def is_old(window: QuotaWindow) -> bool:
        before, then = _noted.get((credential_id, window.limit, window.window), (None, now))
        return before is not None and now - then < REPEATED_AFTER and _says_the_same(window, before)

    return [window for window in windows if not is_old(window)]


def _says_the_same(window: QuotaWindow, before: QuotaWindow) -> bool:
    """But for a moment of reset that is told in seconds from now, and so a little different every time."""
    if window == before:
        return True
    if window.resets_at is None or before.resets_at is None:
        return False
    return abs(window.resets_at - before.resets_at) < REPEATED_AFTER and replace(window, resets_at=before.resets_at) == before


def note(credential_id: int, windows: Sequence[QuotaWindow], now: datetime) -> None:
    """Keep the latest reading of each window and its sample, in the open transaction where there is one."""
    if not windows:
        return
    by_key = {(window.limit, window.window): window for window in windows}
    latest = [by_key[key] for key in sorted(by_key)]  # in one order, lest two who note the same wait for each other
    QuotaReading.objects.bulk_create(
        [
            QuotaReading(
                credential_id=credential_id,
                limit=window.limit,
                window=window.window,
                used_percent=window.used_percent,
                minutes=window.minutes,
                resets_at=window.resets_at,
                observed_at=now,
            )
            for window in latest
        ],
        update_conflicts=True,
        unique_fields=["credential", "limit", "window"],
        update_fields=["used_percent", "minutes", "resets_at", "observed_at"],
    )
    QuotaSample.objects.bulk_create(
        [
            QuotaSample(
                credential_id=credential_id,
                limit=window.limit,
                window=window.window,
                slot=slot_of(now),
                used_percent=window.used_percent,
                resets_at=window.resets_at,
            )
            for window in latest
        ],
        update_conflicts=True,
        unique_fields=["credential", "limit", "window", "slot"],
        update_fields=["used_percent", "resets_at"],
    )
    transaction.on_commit(lambda: _remember(credential_id, latest, now))


def _remember(credential_id: int, windows: Iterable[QuotaWindow], now: datetime) -> None:
    for window in windows:
        _noted[credential_id, window.limit, window.window] = window, now


def slot_of(moment: datetime) -> datetime:
    """The quarter of an hour that `moment` is in."""
    return moment.replace(minute=moment.minute - moment.minute % 15, second=0, microsecond=0)


def check(credential: OAuthCredential) -> Sequence[QuotaWindow]:
    """Ask the provider now, and note what it says.

    :raises ApiError: the credential could not be brought to ask. :raises UpstreamUnreachable: no answer that tells.
    """
    provider = registry.get(credential.provider)
    held = tokens.fresh(credential, timezone.now())
    connection.close()
    try:
        windows = provider.poll_quota(held.account)
    except UpstreamRefused as refused:
        if refused.failure.kind is not FailureKind.STALE_TOKEN:
            raise
        windows = provider.poll_quota(tokens.refresh(held).account)
    now = timezone.now()
    with transaction.atomic():
        note(credential.pk, windows, now)
        OAuthCredential.objects.filter(pk=credential.pk).update(quota_polled_at=now)
    return windows


def poll_due(now: datetime | None = None) -> int:
    """Ask for every credential that nobody has heard of for a while, one after the other, and forget old samples.

    For a maintenance loop; several processes may call it at once, each credential is asked by one. Returns how many were asked.
    """
    now = now or timezone.now()
    asked = 0
    for credential in _unheard(now):
        if not _take(credential.pk, now):
            continue
        asked += 1
        try:
            check(credential)
        except (ApiError, UpstreamUnreachable) as error:
            log.warning("credential %s: its quota is not to be had: %s", credential.pk, error)
        finally:
            connection.close()
    QuotaSample.objects.filter(slot__lt=now - KEPT).delete()
    return asked


def _due(now: datetime) -> Q:
    return Q(quota_polled_at=None) | Q(quota_polled_at__lt=now - timedelta(seconds=settings.FLOWAY_QUOTA_POLL_SECONDS))


def _unheard(now: datetime) -> Sequence[OAuthCredential]:
    recently = now - timedelta(seconds=settings.FLOWAY_QUOTA_POLL_SECONDS)
    heard = QuotaReading.objects.filter(observed_at__gte=recently).values("credential")
    rows = OAuthCredential.objects.refreshable().filter(_due(now)).exclude(pk__in=heard)
    return list(rows.select_related("tokens", "proxy").exclude(tokens=None).order_by("quota_polled_at", "pk"))


def _take(credential_id: int, now: datetime) -> bool:
    return bool(OAuthCredential.objects.filter(_due(now), pk=credential_id).update(quota_polled_at=now))

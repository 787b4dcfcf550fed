"""Forgets what stands beside conversations when its days are over: callers' handles on them, what was made in the background,
exchanges, and which credential issued which ciphertext.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import ApiKey
from responses_app import usage
from responses_app.collecting import cutoff
from responses_app.models import BackgroundResponse, Exchange, NamedConversation, Provenance, Snapshot
from responses_app.pacing import Pace

_AT_ONCE = 200


def forget_history(now: datetime, pace: Pace) -> tuple[Counter[str], bool]:
    """Delete what is older than FLOWAY_HISTORY_DAYS.

    :returns: how many of what were removed, and whether nothing is left to do.
    """
    before = now - timedelta(days=settings.FLOWAY_HISTORY_DAYS)
    removed = Counter(exchanges=_exchanges(before, pace), provenance=_provenance(before, pace))
    return removed, not pace.is_over


def forget_handles(now: datetime, pace: Pace) -> tuple[Counter[str], bool]:
    """Delete named conversations and background responses that are past their key's days, or that their caller deleted.

    :returns: see `forget_history`.
    """
    removed: Counter[str] = Counter()
    gone = NamedConversation.objects.filter(deleted_at__isnull=False).order_by("deleted_at")
    removed["named conversations"] += _delete(gone, pace)
    for key in ApiKey.objects.order_by("pk"):
        before = cutoff(key, now)
        old = NamedConversation.objects.filter(api_key=key, last_used_at__lt=before).order_by("last_used_at")
        ended = BackgroundResponse.objects.filter(api_key=key, ended_at__lt=before).order_by("ended_at")
        removed["named conversations"] += _delete(old, pace)
        removed["background responses"] += _delete(ended, pace)
    return removed, not pace.is_over


def _delete(rows: QuerySet[Any], pace: Pace) -> int:
    removed = 0
    while not pace.is_over and (some := list(rows.values_list("pk", flat=True)[:_AT_ONCE])):
        with pace.stroke():
            rows.model._default_manager.filter(pk__in=some).only("pk").delete()
        removed += len(some)
    return removed


def _exchanges(before: datetime, pace: Pace) -> int:
    """Those that ended and are summed up; what a response came of, or what holds one's window, stays as long as it."""
    made = Exists(Snapshot.objects.filter(exchange=OuterRef("pk")))
    holds = Exists(Snapshot.objects.filter(continued_by=OuterRef("pk")))
    ended = ~Q(status=Exchange.Status.IN_FLIGHT)
    old = Exchange.objects.filter(usage.counted(), ended, ~made, ~holds, started_at__lt=before).order_by("started_at")
    removed = 0
    while not pace.is_over and (some := list(old.values_list("pk", flat=True)[:_AT_ONCE])):
        with pace.stroke():
            gone = Exchange.objects.filter(pk__in=some).filter(~made, ~holds).only("pk").delete()
            removed += gone[1].get("responses_app.Exchange", 0)
    return removed


def _provenance(before: datetime, pace: Pace) -> int:
    """By number, which grows with age: an index on the time would cost every turn."""
    removed = 0
    while not pace.is_over:
        oldest = Provenance.objects.order_by("pk").values_list("pk", "created_at")[:_AT_ONCE]
        some = [pk for pk, created_at in oldest if created_at < before]
        if not some:
            break
        with pace.stroke():
            removed += Provenance.objects.filter(pk__in=some).delete()[0]
    return removed

"""What the maintenance loop does for this app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from responses_app import background, capturing, collecting, forgetting, idempotency, purging, space, usage
from responses_app.models import Collection
from responses_app.pacing import Pace

_SECONDS = 20.0
"""Of a round: well within the loop's lease, and the loop's other jobs have their turn."""
_REMEMBERED = 100

Step = Callable[[datetime, Pace], tuple[Counter[str], bool]]
STEPS: tuple[Step, ...] = (forgetting.forget_handles, collecting.collect, forgetting.forget_history)


def forget_payloads(_: str) -> None:
    """Delete captured payloads whose time is over."""
    capturing.forget_old(timezone.now())


def purge(_: str) -> None:
    """Go on with what operators asked to be purged."""
    purging.advance_all(Pace(_SECONDS))


def clear_away(_: str) -> None:
    """Delete what is past its time, and give what that frees back to the file system."""
    collect(timezone.now(), Pace(_SECONDS))
    space.give_back(Pace(_SECONDS))


def collect(now: datetime, pace: Pace) -> Counter[str]:
    """Every step, as far as the time goes; a round that found something is written down."""
    began_at, removed, finished = timezone.now(), Counter[str](), True
    for step in STEPS:
        found, done = step(now, pace)
        removed += found
        finished = finished and done
    if removed:
        _note(Collection(began_at=began_at, ended_at=timezone.now(), removed=dict(removed), finished=finished))
    return removed


def _note(round_: Collection) -> None:
    with transaction.atomic():
        round_.save()
        kept: Sequence[int] = list(Collection.objects.values_list("pk", flat=True)[:_REMEMBERED])
        Collection.objects.filter(pk__lt=min(kept)).delete()


JOBS = (usage.count, forget_payloads, background.sweep, idempotency.sweep, purge, clear_away)

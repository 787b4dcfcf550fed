"""Sums up ended exchanges by the hour, each once, whoever else is at it and whenever it is interrupted.

Exchanges end out of order and are written late, so no moment tells which are counted. Their numbers do: a mark moves up
through them, and what it passes while still in flight is remembered in a list of its own until it has ended. A turn writes
nothing for it. What is added, the mark and the list are written in one transaction that only the first to move the mark wins.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from accounts import maintenance
from responses_app.models import Exchange, UsageHour, UsageLate, UsageMark
from responses_app.models.usage import BOUNDS_MS, EVER, FIRST, SUMMED, TOTAL

OTHER = "(other)"
_BATCH = 1000
_MOST_ROWS = 400
"""Of one key in one hour. A caller that makes up model names fills no table: the rest of them is counted as one."""
_TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
_COLUMNS = ("pk", "api_key_id", "credential_id", "model", "status", "error_code", "started_at", "finished_at")
_READ = (*_COLUMNS, "first_byte_ms", "total_ms", *_TOKENS)
_WRITERS = (
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE relation = to_regclass('responses_app_exchange') "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND mode = 'RowExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()"
)
"""Who has begun to write exchanges in this database: the lock is taken before a number is, and held to the end."""

Group = tuple[datetime, int, int | None, str, str, str]
"""Hour, key, credential, model, status, error code."""


def counted() -> Q:
    """Which exchanges are summed up, so that their rows may be deleted."""
    mark = UsageMark.objects.values("counted_to")[:1]
    late = Exists(UsageLate.objects.filter(pk=OuterRef("pk")))
    return Q(~late, pk__lte=Subquery(mark))


def count(holder: str) -> None:
    """Sum up whatever has ended, for as long as this process holds the lease."""
    UsageMark.objects.bulk_create([UsageMark()], ignore_conflicts=True)
    # The first look may only find out what is safe to count from the second on.
    looks = 2
    while looks:
        looks = looks - 1 if not count_some() else 2
        if not maintenance.renew(holder):
            return


def count_some() -> int:
    """One batch; how many exchanges were counted or passed by. 0 also where another process was sooner."""
    mark = UsageMark.objects.get()
    _look_ahead(mark)
    rows = Exchange.objects.filter(pk__gt=mark.counted_to, pk__lte=mark.safe_to).order_by("pk")
    passed = list(rows.values(*_READ)[:_BATCH])
    full = len(passed) == _BATCH
    running = [row["pk"] for row in passed if row["status"] == Exchange.Status.IN_FLIGHT]
    ended = [row for row in passed if row["status"] != Exchange.Status.IN_FLIGHT]
    overdue = list(overdue_ones().values(*_READ)[:_BATCH])
    step = _Step(mark, passed[-1]["pk"] if full else mark.safe_to, running, [row["pk"] for row in overdue])
    return len(passed) + len(overdue) if _write(step, [*ended, *overdue]) else 0


def overdue_ones() -> QuerySet[Exchange]:
    """Those that were passed by in flight and have ended since. By their keys: there are few, and exchanges are many."""
    late = UsageLate.objects.values("pk")
    return Exchange.objects.filter(pk__in=late).exclude(status=Exchange.Status.IN_FLIGHT).order_by("pk")


@dataclass(frozen=True, slots=True)
class _Step:
    """Where the mark goes, which exchanges it passes by in flight, and which of those passed before have ended."""

    mark: UsageMark
    counted_to: int
    running: list[int]
    overdue: list[int]


def _look_ahead(mark: UsageMark) -> None:
    """Note how far rows can be counted without missing one that another transaction has numbered and not committed yet.

    SQLite writes one transaction at a time: there what can be seen is whole.
    """
    highest = _highest()
    writers = _writers()
    if not set(writers) & set(mark.seen_writers):
        mark.safe_to, mark.seen_to, mark.seen_writers = max(mark.safe_to, mark.seen_to), highest, writers
    if not writers:
        mark.safe_to = max(mark.safe_to, highest)


def _writers() -> list[str]:
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return [name for (name,) in cursor.fetchall()]


def _highest() -> int:
    found: int | None = Exchange.objects.aggregate(highest=Max("pk"))["highest"]
    return found or 0


def _write(step: _Step, ended: list[dict[str, Any]]) -> bool:
    mark = step.mark
    sums = _sums(ended)
    with transaction.atomic():
        mine = UsageMark.objects.filter(pk=mark.pk, version=mark.version)
        moved = mine.update(
            counted_to=max(mark.counted_to, step.counted_to),
            safe_to=mark.safe_to,
            seen_to=mark.seen_to,
            seen_writers=mark.seen_writers,
            version=F("version") + 1,
            moved_at=Now(),
        )
        if not moved:
            return False
        _add(sums)
        UsageLate.objects.filter(pk__in=step.overdue).delete()
        UsageLate.objects.bulk_create(UsageLate(exchange_id=pk) for pk in step.running)
    return True


# --- sums -----------------------------------------------------------------------------------------------------------------


def _sums(ended: Iterable[Mapping[str, Any]]) -> dict[Group, Counter[str]]:
    """What each group's row grows by; everything once in its hour and once in the row of all hours."""
    sums: dict[Group, Counter[str]] = {}
    for row in ended:
        hour = (row["finished_at"] or row["started_at"]).replace(minute=0, second=0, microsecond=0)
        grows = _of_one(row)
        for when in (hour, EVER):
            group = (when, row["api_key_id"], row["credential_id"], row["model"], row["status"], row["error_code"])
            sums.setdefault(group, Counter()).update(grows)
    return sums


def _of_one(row: Mapping[str, Any]) -> dict[str, int]:
    grows = {"requests": 1, **{name: row[name] or 0 for name in _TOKENS}}
    for name, took in (("first", row["first_byte_ms"]), ("total", row["total_ms"])):
        if took is not None:
            grows |= {f"{name}_ms": took, f"{name}_{bisect_left(BOUNDS_MS, took)}": 1}
    return grows


def _add(sums: Mapping[Group, Mapping[str, int]]) -> None:
    """Into the open transaction, which holds the mark: nobody else adds meanwhile."""
    hours, keys = {group[0] for group in sums}, {group[1] for group in sums}
    rows = {_group(row): row for row in UsageHour.objects.filter(hour__in=hours, api_key__in=keys)}
    there = Counter(group[:2] for group in rows)
    grown: dict[Group, UsageHour] = {}
    for exact, grows in sums.items():
        group = exact if exact in rows or there[exact[:2]] < _MOST_ROWS else _merged(exact)
        if group not in rows:
            rows[group] = _new(group)
            there[group[:2]] += 1
        grown[group] = rows[group]
        for name, more in grows.items():
            setattr(grown[group], name, getattr(grown[group], name) + more)
    fresh = [row for row in grown.values() if row._state.adding]
    known = [row for row in grown.values() if not row._state.adding]
    UsageHour.objects.bulk_create(fresh)
    for row in known:
        row.save(update_fields=[*SUMMED, *FIRST, *TOTAL])


def _group(row: UsageHour) -> Group:
    return (row.hour, row.api_key_id, row.credential_id, row.model, row.status, row.error_code)


def _merged(group: Group) -> Group:
    hour, key, _, _, status, error_code = group
    return (hour, key, None, OTHER, status, OTHER if error_code else "")


def _new(group: Group) -> UsageHour:
    hour, key, credential, model, status, error_code = group
    return UsageHour(
        hour=hour,
        day=hour.date(),
        api_key_id=key,
        credential_id=credential,
        model=model,
        status=status,
        error_code=error_code,
    )

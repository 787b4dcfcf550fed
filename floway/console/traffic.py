"""The numbers of the operations page, each behind one function: the day, the hour, what runs now, why caches missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, QuerySet, Sum

from accounts.models import ApiKey
from responses_app import cache_history
from responses_app.cache_reasons import Cause
from responses_app.models import Exchange

_DAY = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_GRACE = timedelta(minutes=1)
_LISTED = 8
_LATEST = 12
_EXPLAINED = 300
_TOKENS = ("input", "cached", "output", "reasoning")
_CALLER = {Exchange.EndedBy.CALLER, Exchange.EndedBy.UNDELIVERED}
_GROUPS = ("api_key", "status", "ended_by", "error_code", "http_status")
_UNSHOWN = ("identity", "changes", "upstream_ids", "attempts", "preamble")


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one key used; tokens by kind, None where no answer told any."""

    key: ApiKey
    requests: int
    tokens: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way in which requests went wrong."""

    error_code: str
    http_status: int | None
    ended_by: str
    times: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours."""

    requests: int
    in_flight: int
    completed: int
    went_wrong: int
    tokens: Mapping[str, int | None]
    by_key: Sequence[KeyUse]
    troubles: Sequence[Trouble]


@dataclass(frozen=True, slots=True)
class Hour:
    """The last hour's ends. `failed` could not be served, `refused` was not taken as it was asked; `code` is the commonest.

    Callers that left are in neither.
    """

    ended: int
    failed: int
    refused: int
    code: str


@dataclass(frozen=True, slots=True)
class Miss:
    """A cause and how many turns and tokens it cost."""

    cause: Cause
    times: int
    lost: int


@dataclass(frozen=True, slots=True)
class Misses:
    """Why caches missed, over the day's latest turns that told their tokens: `looked_at` of them, `found` without a miss."""

    looked_at: int
    found: int
    by_cause: Sequence[Miss]


def last_day(now: datetime) -> Day:
    """One grouped query over the day's part of one index, and one for the names of keys."""
    groups = _groups(Exchange.objects.filter(started_at__gte=now - _DAY))
    status = Exchange.Status
    by_status: Counter[str] = Counter()
    for group in groups:
        by_status[group["status"]] += group["requests"]
    return Day(
        requests=sum(by_status.values()),
        in_flight=by_status[status.IN_FLIGHT],
        completed=by_status[status.COMPLETED],
        went_wrong=by_status[status.FAILED] + by_status[status.REFUSED],
        tokens=_tokens(groups),
        by_key=_by_key(groups),
        troubles=_troubles(groups),
    )


def _groups(rows: QuerySet[Exchange]) -> Sequence[Mapping[str, Any]]:
    sums = {f"{name}_sum": Sum(f"{name}_tokens") for name in _TOKENS}
    return list(rows.order_by().values(*_GROUPS).annotate(requests=Count("pk"), last=Max("started_at"), **sums))


def _tokens(groups: Iterable[Mapping[str, Any]]) -> Mapping[str, int | None]:
    sums: dict[str, int | None] = dict.fromkeys(_TOKENS)
    for group in groups:
        for name in _TOKENS:
            told = group[f"{name}_sum"]
            sums[name] = sums[name] if told is None else (sums[name] or 0) + told
    return sums


def _by_key(groups: Sequence[Mapping[str, Any]]) -> Sequence[KeyUse]:
    by_key: dict[int, list[Mapping[str, Any]]] = {}
    for group in groups:
        by_key.setdefault(group["api_key"], []).append(group)
    requests = {pk: sum(group["requests"] for group in mine) for pk, mine in by_key.items()}
    busiest = sorted(requests, key=lambda pk: (-requests[pk], pk))[:_LISTED]
    keys = ApiKey.objects.only("name").in_bulk(busiest)
    return [KeyUse(keys[pk], requests[pk], _tokens(by_key[pk])) for pk in busiest if pk in keys]


def _troubles(groups: Iterable[Mapping[str, Any]]) -> Sequence[Trouble]:
    found: dict[tuple[str, int | None, str], Trouble] = {}
    for group in groups:
        if group["status"] not in {Exchange.Status.FAILED, Exchange.Status.REFUSED}:
            continue
        what = (group["error_code"], group["http_status"], group["ended_by"])
        earlier = found.get(what)
        times = group["requests"] + (earlier.times if earlier else 0)
        last = max(group["last"], earlier.last) if earlier else group["last"]
        found[what] = Trouble(*what, times, last)
    return sorted(found.values(), key=lambda trouble: (-trouble.times, trouble.error_code))[:_LISTED]


def last_hour(now: datetime) -> Hour:
    """How the requests of the last hour ended."""
    rows = Exchange.objects.filter(started_at__gte=now - _HOUR).exclude(status=Exchange.Status.IN_FLIGHT)
    groups = rows.order_by().values("status", "ended_by", "error_code").annotate(times=Count("pk"))
    ended = failed = refused = 0
    codes: Counter[str] = Counter()
    for group in groups:
        ended += group["times"]
        if group["ended_by"] in _CALLER or group["status"] not in {Exchange.Status.FAILED, Exchange.Status.REFUSED}:
            continue
        codes[group["error_code"]] += group["times"]
        if group["status"] == Exchange.Status.FAILED:
            failed += group["times"]
        else:
            refused += group["times"]
    code = codes.most_common(1)[0][0] if codes else ""
    return Hour(ended, failed, refused, code)


def running(now: datetime) -> Sequence[Exchange]:
    """The latest requests that somebody serves now; none is older than a turn may last, so few rows are looked through."""
    longest = timedelta(seconds=max(settings.FLOWAY_MAX_STREAM_SECONDS, settings.FLOWAY_MAX_COMPACTION_SECONDS)) + _GRACE
    rows = (
        Exchange.objects.running()
        .filter(started_at__gte=now - longest)
        .select_related("api_key", "credential")
        .defer(*_UNSHOWN)
    )
    return list(rows.order_by("-started_at")[:_LATEST])


def finished() -> Sequence[Exchange]:
    """The latest requests that have ended."""
    rows = Exchange.objects.exclude(status=Exchange.Status.IN_FLIGHT)
    return list(rows.select_related("api_key", "credential").defer(*_UNSHOWN).order_by("-started_at")[:_LATEST])


def cache_misses(now: datetime) -> Misses:
    """Five queries, whatever happened."""
    rows = Exchange.objects.filter(started_at__gte=now - _DAY, input_tokens__isnull=False).only(*cache_history.NEEDED)
    reasons = cache_history.reasons(list(rows.order_by("-started_at")[:_EXPLAINED]))
    times: Counter[Cause] = Counter(reason.cause for reason in reasons.values())
    lost: Counter[Cause] = Counter()
    for reason in reasons.values():
        lost[reason.cause] += reason.lost
    by_cause = [Miss(cause, count, lost[cause]) for cause, count in times.most_common() if cause.is_miss]
    return Misses(sum(times.values()) - times[Cause.UNTOLD], times[Cause.NONE], by_cause)

"""Metrics for Prometheus, behind a token of their own. All of them are read from the database: every process tells the same.

What has ended comes from the sums, so it is as fresh as the maintenance loop; what goes on is read as it stands. Series name
keys and credentials by their numbers; names stand once each in a series for joining. No end user, e-mail address or secret is
told.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from accounts.models import ApiKey, OAuthCredential, QuotaReading, Upkeep
from floway.wire.errors import Unauthenticated
from floway.wire.headers import bearer
from responses_app import fleet, http, views
from responses_app.models import Collection, Exchange, UsageHour, UsageMark
from responses_app.models.usage import BOUNDS_MS, EVER, FIRST, TOTAL

_KINDS = {"input": "input_tokens", "cached": "cached_tokens", "output": "output_tokens", "reasoning": "reasoning_tokens"}
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def view(request: HttpRequest) -> HttpResponse:
    """404 where no token is configured, 401 for any other token."""
    if not settings.FLOWAY_METRICS_TOKEN:
        return views.unknown_url(request)
    brought = bearer(request.headers.get("authorization"))
    token = settings.FLOWAY_METRICS_TOKEN.encode()
    if brought is None or not hmac.compare_digest(brought.encode("utf-8", "surrogateescape"), token):
        return http.plain_error(request, Unauthenticated("The metrics are behind a token of their own."))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_FromDatabase())
    return HttpResponse(generate_latest(registry), content_type=_CONTENT_TYPE, headers={"Cache-Control": "no-store"})


class _FromDatabase(Collector):
    def collect(self) -> Iterator[Metric]:
        """Everything, one family after the other."""
        ever = UsageHour.objects.filter(hour=EVER).order_by()
        yield _requests(ever)
        yield _tokens(ever)
        yield _histogram(ever, "floway_first_byte_seconds", "To the first byte, of completed requests.", FIRST, "first_ms")
        yield _histogram(ever, "floway_request_duration_seconds", "To the end, of completed requests.", TOTAL, "total_ms")
        yield from _going_on()
        yield from _credentials()
        yield from _upkeep()


def _requests(ever: QuerySet[UsageHour]) -> Metric:
    found = CounterMetricFamily("floway_requests", "Requests that ended.", labels=("key", "model", "status", "error_code"))
    columns = ("api_key_id", "model", "status", "error_code")
    for *of, requests in ever.values_list(*columns).annotate(n=Sum("requests")):
        found.add_metric([str(part) for part in of], requests)
    return found


def _tokens(ever: QuerySet[UsageHour]) -> Metric:
    found = CounterMetricFamily(
        "floway_tokens", "Tokens; cached is part of input, reasoning of output.", labels=("key", "model", "kind")
    )
    sums: dict[str, Any] = {f"n_{kind}": Sum(column) for kind, column in _KINDS.items()}
    rows: Any = ever.values("api_key_id", "model").annotate(**sums)
    for row in rows:
        for kind in _KINDS:
            found.add_metric([str(row["api_key_id"]), row["model"], kind], row[f"n_{kind}"])
    return found


def _histogram(ever: QuerySet[UsageHour], name: str, words: str, columns: tuple[str, ...], took: str) -> Metric:
    found = HistogramMetricFamily(name, words, labels=("model",))
    completed = ever.filter(status=Exchange.Status.COMPLETED)
    sums: dict[str, Any] = {f"n_{column}": Sum(column) for column in (*columns, took)}
    rows: Any = completed.values("model").annotate(**sums)
    for row in rows:
        found.add_metric([row["model"]], _buckets(row, columns), sum_value=row[f"n_{took}"] / 1000)
    return found


def _buckets(row: Mapping[str, Any], columns: tuple[str, ...]) -> list[tuple[str, float]]:
    """Each with all below it, as Prometheus counts."""
    buckets, below = [], 0
    for bound, column in zip((*(str(ms / 1000) for ms in BOUNDS_MS), "+Inf"), columns, strict=True):
        below += row[f"n_{column}"]
        buckets.append((bound, float(below)))
    return buckets


def _going_on() -> Iterator[Metric]:
    flying = GaugeMetricFamily("floway_requests_in_flight", "Requests that are served now.", labels=("key",))
    for key, number in Exchange.objects.running().order_by().values_list("api_key_id").annotate(n=Count("pk")):
        flying.add_metric([str(key)], number)
    yield flying
    workers = GaugeMetricFamily("floway_workers", "Processes that serve, by how they stand.", labels=("state",))
    states = {"serving": 0, "draining": 0, "unheard": 0}
    for worker in fleet.standing():
        states["unheard" if not worker.lives else "draining" if worker.draining else "serving"] += 1
    for state, number in states.items():
        workers.add_metric([state], number)
    yield workers
    names = GaugeMetricFamily("floway_key_info", "1; the name of each key.", labels=("key", "name"))
    for number, name in ApiKey.objects.values_list("pk", "name"):
        names.add_metric([str(number), name], 1)
    yield names


def _credentials() -> Iterator[Metric]:
    now = timezone.now()
    standing = GaugeMetricFamily("floway_credential_state", "1 for the state it is in.", labels=("credential", "state"))
    names = GaugeMetricFamily("floway_credential_info", "1; the label of each credential.", labels=("credential", "label"))
    for credential in OAuthCredential.objects.only("state", "state_until", "label"):
        names.add_metric([str(credential.pk), credential.label], 1)
        for state in OAuthCredential.State.values:
            standing.add_metric([str(credential.pk), state], float(credential.standing(now) == state))
    yield standing
    yield names
    used = GaugeMetricFamily("floway_quota_used_percent", "As last told.", labels=("credential", "limit", "window"))
    for reading in QuotaReading.objects.all():
        passed = reading.resets_at is not None and reading.resets_at <= now
        used.add_metric([str(reading.credential_id), reading.limit, reading.window], 0 if passed else reading.used_percent)
    yield used


def _upkeep() -> Iterator[Metric]:
    for name, words, moment in (
        ("floway_maintained", "When the maintenance loop last came round.", Upkeep.objects.values_list("ran_at", flat=True)),
        ("floway_usage_counted", "When requests were last summed up.", UsageMark.objects.values_list("moved_at", flat=True)),
        ("floway_collected", "When old rows were last deleted.", Collection.objects.values_list("ended_at", flat=True)),
    ):
        at = GaugeMetricFamily(f"{name}_timestamp_seconds", words)
        if (when := moment.first()) is not None:
            at.add_metric([], when.timestamp())
        yield at

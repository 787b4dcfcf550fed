"""Usage, the processes that serve, how things stand, and the audit log over the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Count, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import maintenance
from accounts.models import AuditEntry, OAuthCredential, Upkeep
from floway.console.api.base import Operators, Rows
from responses_app import fleet, usage_report
from responses_app.models import Exchange, UsageMark, Worker
from responses_app.usage_report import Line, Period

_LONGEST = timedelta(days=366 * 2)
_MOST_LINES = 2000
_TOLD = (
    *("requests", "completed", "incomplete", "failed", "refused"),
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
)


class UsageQuery(serializers.Serializer[Any]):
    """Over which time, by what, of what. Whole hours (UTC): a moment stands for the hour it is in."""

    by = serializers.ChoiceField(choices=list(usage_report.GROUPS), default="key")
    since = serializers.DateTimeField(required=False, help_text="By default a day before `until`.")
    until = serializers.DateTimeField(required=False, help_text="That hour is not in it. By default the next one.")
    key = serializers.IntegerField(required=False)
    model = serializers.CharField(required=False, max_length=128)
    credential = serializers.IntegerField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With a period."""
        whole = Period.of_hours(24, timezone.now())
        until = _hour(attrs["until"]) if attrs.get("until") else whole.until
        since = _hour(attrs["since"]) if attrs.get("since") else until - timedelta(days=1)
        if not since < until <= since + _LONGEST:
            raise serializers.ValidationError("'since' must be before 'until', by two years at most.")
        return {**attrs, "period": Period(since, until)}


def _hour(moment: Any) -> Any:
    return moment.replace(minute=0, second=0, microsecond=0)


class UsageLine(serializers.Serializer[Any]):
    """One line: of which key, model, credential, outcome, hour or day, and its sums. Times in milliseconds."""

    of = serializers.ListField(child=serializers.CharField(allow_null=True))
    name = serializers.CharField()
    requests = serializers.IntegerField()
    completed = serializers.IntegerField()
    incomplete = serializers.IntegerField()
    failed = serializers.IntegerField()
    refused = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    first_byte_p50_ms = serializers.IntegerField(allow_null=True)
    first_byte_p95_ms = serializers.IntegerField(allow_null=True)
    total_p50_ms = serializers.IntegerField(allow_null=True)
    total_p95_ms = serializers.IntegerField(allow_null=True)
    notional_usd = serializers.DecimalField(max_digits=20, decimal_places=6, help_text="What the API would have charged.")
    unpriced_tokens = serializers.IntegerField(help_text="Not in it: their models have no price of that day.")


class UsageAnswer(serializers.Serializer[Any]):
    """A report. `counted_at` is when ended requests were last summed up."""

    by = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    counted_at = serializers.DateTimeField(allow_null=True)
    lines = UsageLine(many=True)
    total = UsageLine()


class Usage(Operators):
    """What was used over a time, the busiest first; by hour or day, the earliest first."""

    reads = "responses_app.view_usagehour"

    @extend_schema(tags=["usage"], parameters=[UsageQuery], responses=UsageAnswer)
    def get(self, request: Request) -> Response:
        """At most 2,000 lines; `total` is of all."""
        query = UsageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        period = asked["period"]
        only = {name: asked[name] for name in usage_report.FILTERS if asked.get(name) is not None}
        lines = usage_report.report(usage_report.rows(period, **only), asked["by"])
        mark = UsageMark.objects.first()
        told = {
            "by": asked["by"],
            "since": period.since,
            "until": period.until,
            "counted_at": mark.moved_at if mark else None,
            "lines": [_told(line) for line in lines[:_MOST_LINES]],
            "total": _told(usage_report.total(lines)),
        }
        return Response(UsageAnswer(told).data)


def _told(line: Line) -> dict[str, Any]:
    return {
        "of": [None if part is None else str(part) for part in line.key],
        "name": line.name or " ".join(map(str, line.key)),
        **{name: line.sums[name] for name in _TOLD},
        "first_byte_p50_ms": line.first_byte(50),
        "first_byte_p95_ms": line.first_byte(95),
        "total_p50_ms": line.total(50),
        "total_p95_ms": line.total(95),
        "notional_usd": round(line.cost.amount, 6),
        "unpriced_tokens": line.cost.unpriced,
    }


# --- how things stand -----------------------------------------------------------------------------------------------------


class WorkerRow(serializers.ModelSerializer[Worker]):
    """A process that serves. `lives`: it was heard of lately; `serving`: so many turns."""

    lives = serializers.BooleanField(read_only=True)
    serving = serializers.IntegerField(read_only=True)

    class Meta:
        model = Worker
        fields = ("id", "host", "pid", "lives", "serving", "draining", "started_at", "seen_at")


@extend_schema(tags=["operations"])
class Workers(Rows):
    """The processes that serve, now."""

    queryset = Worker.objects.none()
    serializer_class = WorkerRow
    reads = "responses_app.view_worker"

    def get_queryset(self) -> QuerySet[Worker]:
        """With how each stands."""
        return fleet.standing()


class Standing(serializers.Serializer[Any]):
    """How things stand now, and what became of the requests that began in the last 24 hours."""

    in_flight = serializers.IntegerField()
    last_24h = serializers.DictField(child=serializers.IntegerField(), help_text="By status.")
    credentials = serializers.DictField(child=serializers.IntegerField(), help_text="By state.")
    workers = serializers.IntegerField(help_text="Processes heard of lately.")
    maintained_at = serializers.DateTimeField(allow_null=True)
    maintenance_is_late = serializers.BooleanField()


class Operations(Operators):
    """How things stand."""

    reads = "responses_app.view_exchange"

    @extend_schema(tags=["operations"], responses=Standing)
    def get(self, request: Request) -> Response:
        """In one look."""
        now = timezone.now()
        recent = Exchange.objects.filter(started_at__gte=now - timedelta(days=1)).order_by()
        states: dict[str, int] = {}
        for credential in OAuthCredential.objects.only("state", "state_until"):
            state = str(credential.standing(now))
            states[state] = states.get(state, 0) + 1
        told = {
            "in_flight": Exchange.objects.running().count(),
            "last_24h": dict(recent.values_list("status").annotate(n=Count("pk"))),
            "credentials": states,
            "workers": Worker.objects.living().count(),
            "maintained_at": Upkeep.objects.values_list("ran_at", flat=True).first(),
            "maintenance_is_late": maintenance.is_late(now),
        }
        return Response(Standing(told).data)


class AuditQuery(serializers.Serializer[Any]):
    """By whom, what, when."""

    actor = serializers.CharField(required=False, max_length=150)
    action = serializers.CharField(required=False, max_length=120)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class AuditRow(serializers.ModelSerializer[AuditEntry]):
    """One thing that an operator did."""

    class Meta:
        model = AuditEntry
        fields = (
            *("id", "at", "actor", "actor_id", "address", "action", "object_type", "object_id", "object_label", "detail"),
            "request_id",
        )


@extend_schema_view(list=extend_schema(parameters=[AuditQuery]))
@extend_schema(tags=["audit"])
class Audit(Rows):
    """The audit log, the latest first."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditRow
    query = AuditQuery
    lookups: ClassVar[Mapping[str, str]] = {
        "actor": "actor",
        "action": "action",
        "since": "at__gte",
        "until": "at__lt",
    }
    reads = "accounts.view_auditentry"

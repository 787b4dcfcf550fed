"""What the lists of history can be narrowed to, as the operator asks; no choice costs a look through a large table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.filters import RelatedFieldListFilter
from django.db.models import F, OrderBy, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from responses_app.models import Exchange

_DAYS = 7
_OFFERED = 25
_LOOKED_AT = 1_000


class QuestionFilter(admin.SimpleListFilter):
    """A question with a few answers, each a condition."""

    answers: ClassVar[dict[str, tuple[str, Q]]]

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """The answers."""
        return [(name, words) for name, (words, _) in self.answers.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of which the answer is true."""
        chosen = self.answers.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class OutcomeFilter(QuestionFilter):
    """What became of a request?"""

    title = "what became of it"
    parameter_name = "outcome"
    answers: ClassVar[dict[str, tuple[str, Q]]] = {
        "trouble": ("went wrong", Q(status__in=[Exchange.Status.FAILED, Exchange.Status.REFUSED])),
        "failed": ("failed", Q(status=Exchange.Status.FAILED)),
        "cut": ("was cut upstream", Q(ended_by=Exchange.EndedBy.UPSTREAM_CUT)),
        "left": ("the caller left", Q(ended_by__in=[Exchange.EndedBy.CALLER, Exchange.EndedBy.UNDELIVERED])),
        "timeout": ("took too long", Q(ended_by__in=[Exchange.EndedBy.IDLE, Exchange.EndedBy.DEADLINE])),
        "lost": ("was lost with its process", Q(ended_by=Exchange.EndedBy.LOST)),
        "running": ("is in flight", Q(status=Exchange.Status.IN_FLIGHT)),
        "done": ("was completed", Q(status=Exchange.Status.COMPLETED)),
    }


class KeptFilter(QuestionFilter):
    """Can a caller go on from it?"""

    title = "can be continued"
    parameter_name = "kept"
    answers: ClassVar[dict[str, tuple[str, Q]]] = {
        "yes": ("yes, by its id", Q(stored=True, deleted_at=None)),
        "no": ("no, not stored", Q(stored=False)),
        "deleted": ("no, deleted", Q(deleted_at__isnull=False)),
    }


class CompactedFilter(QuestionFilter):
    """Was it a compaction?"""

    title = "compacted"
    parameter_name = "compacted"
    answers: ClassVar[dict[str, tuple[str, Q]]] = {
        "yes": ("yes", Q(compaction=True)),
        "no": ("no", Q(compaction=False)),
    }


class DayFilter(admin.SimpleListFilter):
    """On which day? The last week's are offered; the address takes any, as `day=2026-11-23`."""

    title = "day (UTC)"
    parameter_name = "day"
    column = "started_at"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """Today and the days before it, and the day that the address names."""
        today = timezone.now().astimezone(UTC).date()
        days = [today - timedelta(days=back) for back in range(_DAYS)]
        chosen = self._day()
        if chosen is not None and chosen not in days:
            days.append(chosen)
        return [(day.isoformat(), "today" if day == today else f"{day:%a %d %b}") for day in days]

    def _day(self) -> date | None:
        try:
            return date.fromisoformat(self.value() or "")
        except ValueError:
            return None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of that day."""
        day = self._day()
        if day is None or day == date.max:
            return queryset
        begins = datetime.combine(day, time(), UTC)
        return queryset.filter(**{f"{self.column}__gte": begins, f"{self.column}__lt": begins + timedelta(days=1)})


class UsedFilter(DayFilter):
    """On which day was the last turn?"""

    title = "last turn (UTC)"
    column = "last_used_at"


class SettledFilter(DayFilter):
    """On which day was it settled?"""

    title = "settled (UTC)"
    column = "created_at"


class CreatedFilter(DayFilter):
    """On which day was it made?"""

    title = "created (UTC)"
    column = "created_at"


class ModelFilter(admin.SimpleListFilter):
    """Which model was asked? Those of the latest requests are offered; the address takes any."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Sequence[tuple[str, str]]:
        """The models asked lately, and the one that the address names."""
        latest = Exchange.objects.order_by("-started_at").values_list("model", flat=True)[:_LOOKED_AT]
        models = sorted({model for model in latest if model})[:_OFFERED]
        chosen = self.value()
        return [(model, model) for model in (*models, *([chosen] if chosen and chosen not in models else []))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The requests that asked it."""
        return queryset.filter(model=self.value()) if self.value() else queryset


class FewRelated(RelatedFieldListFilter):
    """Related rows to choose from, no more of them than a page has room for, and the one that is chosen."""

    asks: str
    order: OrderBy

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = self.asks

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The ones used last, by name."""
        rows = field.remote_field.model._default_manager
        offered = list(rows.order_by(self.order)[:_OFFERED])
        chosen = str((self.lookup_val or [""])[-1])
        if chosen.isdecimal() and chosen not in {str(row.pk) for row in offered}:
            offered += rows.filter(pk=chosen)[:1]
        return sorted(((str(row.pk), str(row)) for row in offered), key=lambda choice: choice[1].lower())


class KeyFilter(FewRelated):
    """Whose request was it?"""

    asks = "whose key"
    order = F("last_used_at").desc(nulls_last=True)


class CredentialFilter(FewRelated):
    """Which login served it?"""

    asks = "which credential"
    order = F("rank").asc()

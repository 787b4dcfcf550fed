"""What was used over a time: by key, model, credential, error, hour or day; how long it took; what it would have cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Sum, Value, When

from accounts.models import ApiKey, OAuthCredential
from responses_app.models import Exchange, ModelPrice, UsageHour
from responses_app.models.usage import BOUNDS_MS, FIRST, TOTAL

GROUPS: Mapping[str, tuple[str, ...]] = {
    "key": ("api_key_id",),
    "model": ("model",),
    "credential": ("credential_id",),
    "day": ("day",),
    "hour": ("hour",),
    "error": ("status", "error_code"),
}
FILTERS = ("key", "model", "credential")
_TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
_OUTCOMES = ("completed", "incomplete", "failed", "refused")
_SUM = "sum_"
"""Before the name of a summed column, which must not hide the column itself."""
_MILLION = Decimal(1_000_000)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to before `until`; whole hours, in UTC."""

    since: datetime
    until: datetime

    @classmethod
    def of_days(cls, first: date, last: date) -> Period:
        """Whole days, both included."""
        begins = datetime.combine(first, time(), UTC)
        return cls(begins, datetime.combine(last, time(), UTC) + timedelta(days=1))

    @classmethod
    def of_hours(cls, hours: int, now: datetime) -> Period:
        """That many hours, this one included."""
        until = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + _HOUR
        return cls(until - hours * _HOUR, until)

    @property
    def days(self) -> int:
        """How many days it touches."""
        return (self.until - self.since) // timedelta(days=1) or 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What the tokens would have cost, in US dollars; `unpriced` tokens, of these models, are not in it."""

    amount: Decimal = Decimal(0)
    unpriced: int = 0
    models: frozenset[str] = frozenset()

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.amount + other.amount, self.unpriced + other.unpriced, self.models | other.models)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report. `key` is what it is a line of: as many values as its group has columns."""

    key: tuple[Any, ...]
    sums: Mapping[str, int]
    cost: Cost = field(default_factory=Cost)
    name: str = ""

    def __getattr__(self, name: str) -> int:
        """A sum: `requests`, `completed`, `failed`, `input_tokens`…"""
        try:
            return self.sums[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def errors(self) -> int:
        """Requests that failed or were refused."""
        return self.sums["failed"] + self.sums["refused"]

    def first_byte(self, percent: int) -> int | None:
        """Within how many milliseconds so many percent of the completed requests had their first byte."""
        return percentile([self.sums[name] for name in FIRST], percent)

    def total(self, percent: int) -> int | None:
        """Within how many milliseconds so many percent of the completed requests had ended."""
        return percentile([self.sums[name] for name in TOTAL], percent)


def percentile(buckets: Sequence[int], percent: int) -> int | None:
    """Where in the histogram so many percent lie, evenly spread within a bucket; the last bound for what is beyond it."""
    rank = sum(buckets) * percent / 100
    if not rank:
        return None
    below = 0
    for low, high, inside in zip((0, *BOUNDS_MS), BOUNDS_MS, buckets, strict=False):
        if below + inside >= rank:
            return round(low + (high - low) * (rank - below) / inside)
        below += inside
    return BOUNDS_MS[-1]


def rows(period: Period, **only: Any) -> QuerySet[UsageHour]:
    """The summed rows of a period, of one `key`, `model` or `credential` where given."""
    names = {"key": "api_key_id", "model": "model", "credential": "credential_id"}
    chosen = {names[name]: value for name, value in only.items() if value not in (None, "")}
    days = {"day__gte": period.since.date(), "day__lte": period.until.date()}
    return UsageHour.objects.filter(hour__gte=period.since, hour__lt=period.until, **days, **chosen)


def report(found: QuerySet[UsageHour], group: str) -> list[Line]:
    """A line for each value of the group, the busiest first; by day and hour, the earliest first."""
    columns = GROUPS[group]
    costs = _costs(found, columns)
    sums = found.order_by().values(*columns).annotate(**_aggregates())
    lines = [Line(key := _key(row, columns), _counts(row), costs.get(key, Cost())) for row in sums]
    if group in {"day", "hour"}:
        return sorted(lines, key=lambda line: line.key)
    lines.sort(key=lambda line: (-line.requests, str(line.key)))
    return _named(lines, group)


def total(lines: Iterable[Line]) -> Line:
    """All lines as one."""
    sums = _counts(dict.fromkeys(_aggregates(), 0))
    cost = Cost()
    for line in lines:
        cost += line.cost
        for name, value in line.sums.items():
            sums[name] += value
    return Line((), sums, cost)


def _aggregates() -> dict[str, Any]:
    """Times are of completed requests: what is refused at once would make everything look fast."""
    completed = Q(status=Exchange.Status.COMPLETED)
    outcomes = {name: Sum("requests", filter=Q(status=name), default=0) for name in _OUTCOMES}
    plain = {name: Sum(name, default=0) for name in ("requests", *_TOKENS)}
    found = {**plain, **outcomes, **{name: Sum(name, filter=completed, default=0) for name in (*FIRST, *TOTAL)}}
    return {f"{_SUM}{name}": aggregate for name, aggregate in found.items()}


def _key(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in columns)


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    return {name.removeprefix(_SUM): value for name, value in row.items() if name.startswith(_SUM)}


def _named(lines: Sequence[Line], group: str) -> list[Line]:
    numbers = [line.key[0] for line in lines]
    known: Mapping[Any, Any] = {}
    if group == "key":
        known = ApiKey.objects.in_bulk(numbers)
    elif group == "credential":
        known = OAuthCredential.objects.in_bulk([number for number in numbers if number is not None])
    return [Line(line.key, line.sums, line.cost, _name(line.key, group, known)) for line in lines]


def _name(key: tuple[Any, ...], group: str, known: Mapping[Any, Any]) -> str:
    value = key[0]
    if group == "key":
        return str(known.get(value, f"deleted key {value}"))
    if group == "credential":
        return "none was chosen" if value is None else str(known.get(value, f"deleted credential {value}"))
    if group == "error":
        return f"{Exchange.Status(value).label}: {key[1]}" if key[1] else str(Exchange.Status(value).label)
    return str(value) or "(none named)"


# --- what it would have cost ----------------------------------------------------------------------------------------------


def _costs(found: QuerySet[UsageHour], columns: Sequence[str]) -> dict[tuple[Any, ...], Cost]:
    """By group. Days between two changes of any price are summed together, so that no day needs a line of its own."""
    prices: dict[str, list[ModelPrice]] = {}
    for price in ModelPrice.objects.order_by("effective_from"):
        prices.setdefault(price.model, []).append(price)
    changes = sorted({price.effective_from for known in prices.values() for price in known})
    epochs = [When(day__lt=day, then=Value(number)) for number, day in enumerate(changes)]
    epoch = Case(*epochs, default=Value(len(changes)), output_field=IntegerField())
    names = list(dict.fromkeys((*columns, "model")))
    sums = found.order_by().annotate(epoch=epoch).values(*names, "epoch")
    costs: dict[tuple[Any, ...], Cost] = {}
    for row in sums.annotate(**{f"{_SUM}{name}": Sum(name, default=0) for name in _TOKENS[:3]}):
        since = changes[row["epoch"] - 1] if row["epoch"] else None
        valid = [price for price in prices.get(row["model"], ()) if since is not None and price.effective_from <= since]
        key = _key(row, columns)
        costs[key] = costs.get(key, Cost()) + _cost(row["model"], _counts(row), valid[-1] if valid else None)
    return costs


def _cost(model: str, sums: Mapping[str, int], price: ModelPrice | None) -> Cost:
    """Cached tokens are part of those read, reasoning is part of what was written."""
    read, cached, written = (sums[name] for name in _TOKENS[:3])
    if price is None:
        return Cost(unpriced=read + written, models=frozenset({model})) if read + written else Cost()
    fresh = max(0, read - cached)
    return Cost((fresh * price.input + cached * price.cached + written * price.output) / _MILLION)

"""The usage page: a period, a group, sums with a chart, and the same as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import ApiKey, OAuthCredential
from floway import markup
from responses_app import usage_report
from responses_app.models import UsageMark
from responses_app.usage_report import Line, Period

PERIODS = (("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"), ("month", "this month"), ("custom", "from … to"))
GROUPS = (("key", "key"), ("model", "model"), ("credential", "credential"), ("day", "day"), ("error", "outcome"))
_DAYS = {"7d": 7, "30d": 30}
_LONGEST_DAYS = 366 * 2
_LISTED = 50
_HOURLY_UP_TO_DAYS = 2
_PERMISSION = "responses_app.view_usagehour"
_CSV = (
    *("requests", "completed", "incomplete", "failed", "refused"),
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
)


class UsageForm(forms.Form):
    """What is asked for; everything may be left out."""

    period = forms.ChoiceField(label="period", choices=PERIODS, required=False)
    since = forms.DateField(label="from", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="to", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    by = forms.ChoiceField(label="group by", choices=GROUPS, required=False)
    key = forms.IntegerField(required=False, widget=forms.HiddenInput)
    model = forms.CharField(required=False, max_length=128, widget=forms.HiddenInput)
    credential = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """A period of two days, in their order, not too long."""
        asked = super().clean() or {}
        if asked.get("period") == "custom":
            first, last = asked.get("since"), asked.get("until")
            if first is None or last is None or first > last:
                raise forms.ValidationError("Give a first and a last day, in their order.")
            if (last - first).days > _LONGEST_DAYS:
                raise forms.ValidationError("That is more than two years.")
        return asked


@dataclass(frozen=True, slots=True)
class Asked:
    """A usable question."""

    period: Period
    words: str
    by: str
    only: dict[str, Any]


def asked(form: UsageForm, now: datetime) -> Asked:
    """What a valid form asks for; an invalid one asks for the last day."""
    data = form.cleaned_data if form.is_valid() else {}
    name = data.get("period") or "24h"
    today = now.astimezone(UTC).date()
    if name == "custom":
        period = Period.of_days(data["since"], data["until"])
    elif name == "month":
        period = Period.of_days(today.replace(day=1), today)
    elif name in _DAYS:
        period = Period.of_days(today - timedelta(days=_DAYS[name] - 1), today)
    else:
        period = Period.of_hours(24, now)
    only = {name: data[name] for name in usage_report.FILTERS if data.get(name) not in (None, "")}
    return Asked(period, _words(period), data.get("by") or "key", only)


def _words(period: Period) -> str:
    last = period.until - timedelta(hours=1)
    if period.since.hour or period.until.hour:
        return f"{period.since:%b %d, %H:00} to {last:%b %d, %H:59} UTC"
    return f"{period.since:%Y-%m-%d} to {last:%Y-%m-%d} UTC"


def page(request: HttpRequest) -> TemplateResponse:
    """The page."""
    _allow(request)
    form = UsageForm(request.GET or None)
    question = asked(form, timezone.now())
    found = usage_report.rows(question.period, **question.only)
    lines = usage_report.report(found, question.by)
    hourly = question.period.days <= _HOURLY_UP_TO_DAYS
    course = usage_report.report(found, "hour" if hourly else "day")
    context = {
        **admin.site.each_context(request),
        "title": "Usage",
        "form": form,
        "question": question,
        "total": usage_report.total(lines),
        "lines": lines[:_LISTED] if question.by != "day" else lines[::-1][:_LISTED],
        "more": max(0, len(lines) - _LISTED),
        "course": filled(course, question.period, hourly=hourly),
        "hourly": hourly,
        "chosen": list(_chosen(question.only)),
        "counted": UsageMark.objects.first(),
        "csv": f"export/?{request.GET.urlencode()}",
    }
    return TemplateResponse(request, "console/usage.html", context, headers={"Cache-Control": "no-store"})


def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The page's lines, all of them, as CSV."""
    _allow(request)
    question = asked(UsageForm(request.GET or None), timezone.now())
    lines = usage_report.report(usage_report.rows(question.period, **question.only), question.by)
    name = f"usage-by-{question.by}-{question.period.since:%Y%m%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_csv(lines, question.by), content_type="text/csv; charset=utf-8", headers=headers)


def _allow(request: HttpRequest) -> None:
    if not request.user.has_perm(_PERMISSION):
        raise PermissionDenied


def filled(course: Sequence[Line], period: Period, *, hourly: bool) -> list[tuple[str, Line]]:
    """A line for each hour or day of the period, whether or not anything happened; of many days, one for each month."""
    empty = usage_report.total(())
    if hourly:
        by_hour = {line.key[0]: line for line in course}
        hours = (period.until - period.since) // timedelta(hours=1)
        moments = [period.since + timedelta(hours=n) for n in range(hours)]
        return [(f"{moment:%b %d %H}:00", by_hour.get(moment, empty)) for moment in moments]
    if period.days > _LISTED + 42:
        return _monthly(course)
    by_day: dict[date, Line] = {line.key[0]: line for line in course}
    days = [period.since.date() + timedelta(days=n) for n in range(period.days)]
    return [(f"{day:%Y-%m-%d}", by_day.get(day, empty)) for day in days]


def _monthly(course: Sequence[Line]) -> list[tuple[str, Line]]:
    months: dict[str, list[Line]] = {}
    for line in course:
        months.setdefault(f"{line.key[0]:%Y-%m}", []).append(line)
    return [(month, usage_report.total(days)) for month, days in months.items()]


def _chosen(only: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in only.items():
        if name == "key":
            yield name, str(ApiKey.objects.filter(pk=value).first() or f"deleted key {value}")
        elif name == "credential":
            yield name, str(OAuthCredential.objects.filter(pk=value).first() or f"deleted credential {value}")
        else:
            yield name, str(value)


# --- CSV ------------------------------------------------------------------------------------------------------------------


def _csv(lines: Sequence[Line], by: str) -> Iterator[bytes]:
    times = ("first_byte_p50_ms", "first_byte_p95_ms", "total_p50_ms", "total_p95_ms")
    yield _csv_line([by, *_CSV, *times, "notional_usd", "unpriced_tokens"])
    for line in lines:
        figures = [line.sums[name] for name in _CSV]
        took = [line.first_byte(50), line.first_byte(95), line.total(50), line.total(95)]
        yield _csv_line([line.name or str(line.key[0]), *figures, *took, float(line.cost.amount), line.cost.unpriced])


def _csv_line(values: Sequence[object]) -> bytes:
    cells = (markup.csv_cell(value) for value in values)
    return (",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells) + "\r\n").encode()

"""The pages' ways of writing values, for templates."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts import health
from accounts.models import QuotaReading
from floway import markup
from floway.console import lineage, timeline, token_chart
from floway.console.traffic import Trouble
from responses_app import advice as advising
from responses_app import history
from responses_app.models import Exchange

register = template.Library()

register.filter("clean", markup.clean)
register.filter("short_id", markup.short_id)
register.filter("stamp", markup.stamp)
register.filter("duration", markup.duration)
register.filter("figure", markup.figure)
register.filter("pretty_json", markup.pretty_json)
register.filter("steps", markup.steps)
register.filter("mappings", markup.mappings)
register.filter("share_of", markup.share)
register.filter("course", timeline.steps)
register.simple_tag(lineage.draw, name="lineage")
register.simple_tag(token_chart.draw, name="token_chart")


@register.filter
def relative(moment: datetime | None) -> SafeString:
    """As seen from now."""
    return markup.relative(moment, timezone.now())


register.filter("ended_by", history.ended_by)
register.filter("outcome_badge", history.outcome)


@register.filter
def allowance(reading: QuotaReading) -> SafeString:
    """One allowance as it stands now."""
    return health.allowance(reading, timezone.now())


@register.filter
def advice(trouble: Trouble | Exchange) -> advising.Advice:
    """What to do about it."""
    return advising.advice(trouble.error_code, trouble.http_status, trouble.ended_by)


@register.filter
def page_url(row: Model) -> str:
    """The page of a row."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


@register.filter
def page_link(row: Model | None) -> SafeString:
    """A link to a row by its name."""
    return markup.NOTHING if row is None else markup.link(page_url(row), markup.clean(row))


@register.filter
def id_link(row: Model | None) -> SafeString:
    """A link to a row by its id, shortened where the id is long."""
    return markup.NOTHING if row is None else markup.link(page_url(row), markup.short_id(row))

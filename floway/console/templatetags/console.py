"""The pages' ways of writing values, for templates."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import health
from accounts.models import QuotaReading
from floway import markup
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


@register.simple_tag
def timeline(exchange: Exchange) -> SafeString:
    """Waiting and output of a finished exchange as one bar; the figures stand beside it in words."""
    if not exchange.total_ms:
        return SafeString("")
    first = 100 * min(exchange.first_byte_ms or exchange.total_ms, exchange.total_ms) / exchange.total_ms
    waited = markup.span(timedelta(milliseconds=exchange.first_byte_ms or exchange.total_ms))
    return format_html(
        '<svg class="timeline" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="waiting" width="{}" height="4"/><rect class="output" x="{}" width="{}" height="4"/></svg>',
        f"waited {waited} for the first byte",
        f"{first:.2f}",
        f"{first:.2f}",
        f"{100 - first:.2f}",
    )

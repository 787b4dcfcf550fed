"""How the usage page writes its times, its costs and the links of its lines."""

from __future__ import annotations

from urllib.parse import urlencode

from django import forms, template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from floway import markup
from floway.console import usage_chart
from floway.console.usage import Asked
from responses_app.usage_report import FILTERS, Cost, Line

register = template.Library()
register.simple_tag(usage_chart.tokens, name="tokens_chart")
register.simple_tag(usage_chart.requests, name="requests_chart")


@register.simple_tag
def took(line: Line, what: str, percent: int) -> str:
    """A percentile of a line's times."""
    return markup.duration(line.first_byte(percent) if what == "first_byte" else line.total(percent))


@register.filter
def dollars(cost: Cost) -> SafeString:
    """A cost; an asterisk where tokens without a price are left out, a dash where there is nothing but those."""
    if cost.unpriced and not cost.amount:
        return format_html('<span title="{} tokens have no price">–*</span>', markup.figure(cost.unpriced))
    star = "*" if cost.unpriced else ""
    return format_html("${}{}", f"{cost.amount:,.2f}", star)


@register.simple_tag
def line_link(line: Line, question: Asked, form: forms.Form) -> SafeString:
    """What a line is of; a link to the same page narrowed to it, where it can be."""
    name = markup.clean(line.name or line.key[0])
    value = line.key[0]
    if question.by not in FILTERS or value in (None, "") or question.by in question.only:
        return format_html("{}", name)
    kept = {field.name: field.value() for field in form if field.value()}
    following = {"key": "model", "model": "key", "credential": "key"}[question.by]
    return markup.link(f"?{urlencode({**kept, question.by: value, 'by': following})}", name)

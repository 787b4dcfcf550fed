"""How values are written on the operator's pages: ids, times, figures, states, meters. Everything foreign is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from floway.wire.json import JSON

Tone = Literal["ok", "warn", "bad", "off", "busy"]

NOTHING = SafeString("–")
_FORMULA_STARTS = frozenset("=+-@|%\uff1d\uff0b\uff0d\uff20")
"""What makes a spreadsheet compute or call a program; the wide forms too, which some read as the narrow ones."""
_SHORT = 8
_SHOWN_WHOLE = 14
_UNITS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"), (timedelta(seconds=1), "s"))


def clean(value: object) -> str:
    """Text that UTF-8 can carry and that reads in one direction: lone surrogates and invisible characters as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in str(value))


def short_id(value: object) -> SafeString:
    """An id's last eight characters, the whole id in the title; an id that is short anyway stands whole."""
    text = clean(value or "")
    if not text:
        return NOTHING
    if len(text) <= _SHOWN_WHOLE:
        return format_html('<span class="id">{}</span>', text)
    return format_html('<span class="id" title="{}">…{}</span>', text, text[-_SHORT:])


def badge(tone: Tone, text: object) -> SafeString:
    """A state, said by its words and by its tone."""
    return format_html('<span class="badge {}">{}</span>', tone, clean(text))


def stamp(moment: datetime | None) -> SafeString:
    """A moment in UTC, to the second."""
    if moment is None:
        return NOTHING
    utc = moment.astimezone(UTC)
    return format_html('<time datetime="{}">{}</time>', utc.isoformat(), f"{utc:%b %d, %H:%M:%S}")


def relative(moment: datetime | None, now: datetime) -> SafeString:
    """A moment as seen from `now`: "in 3 h", "5 min ago"; the moment itself in the title."""
    if moment is None:
        return NOTHING
    distance = span(abs(moment - now))
    utc = moment.astimezone(UTC)
    words = f"in {distance}" if moment > now else f"{distance} ago"
    return format_html('<time datetime="{}" title="{}">{}</time>', utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC", words)


def span(length: timedelta) -> str:
    """A length of time in its largest whole unit."""
    for unit, name in _UNITS:
        if length >= unit:
            return f"{length // unit} {name}"
    return "0 s"


def duration(milliseconds: int | None) -> str:
    """Milliseconds as a person reads them."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 60_000} min {milliseconds // 1000 % 60} s"


def figure(number: int | None) -> str:
    """A whole number, its digits in threes."""
    return NOTHING if number is None else f"{number:,}".replace(",", "\u202f")


def share(part: int | None, whole: int | None) -> str:
    """`part` of `whole` in percent."""
    return NOTHING if not whole or part is None else f"{100 * part / whole:.0f}\u202f%"


def meter(percent: float, label: str) -> SafeString:
    """How much of an allowance is used; the label is what a screen reader says."""
    return format_html(
        '<meter min="0" max="100" low="70" high="90" optimum="0" value="{}" aria-label="{}" title="{}"></meter>',
        f"{min(max(percent, 0), 100):.0f}",
        clean(label),
        clean(label),
    )


def pretty_json(value: JSON) -> SafeString:
    """A JSON value to read. ASCII, so that no character of it can disguise another."""
    return NOTHING if value is None else format_html('<pre class="json" tabindex="0">{}</pre>', json.dumps(value, indent=2))


def link(url: str, text: object) -> SafeString:
    """A link within the pages."""
    return format_html('<a href="{}">{}</a>', url, text)


def steps(scope: JSON) -> SafeString:
    """A conversation's scope as one line, step by step, in the words of whoever named the steps."""
    return format_html_join(
        SafeString('<span class="sep"> › </span>'),
        '<span class="step"><span class="kind">{}</span> {}</span>',
        ((clean(step.get("kind", "?")), short_id(step.get("id"))) for step in mappings(scope)),
    )


def mappings(rows: JSON) -> Iterable[Mapping[str, JSON]]:
    """The objects among `rows`, whatever else is stored there."""
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def csv_cell(value: object) -> str:
    """A value as a cell of a CSV file that a spreadsheet opens as text: never as a formula, never over several lines."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = clean(value).replace("\r", " ").replace("\n", " ").replace("\t", " ")
    return f"'{text}" if text.lstrip()[:1] in _FORMULA_STARTS else text

"""Draws what was used hour by hour or day by day as bars; the table beside it says the same in figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from floway import markup
from responses_app.usage_report import Line

_WIDTH, _LEFT, _RIGHT = 900, 70, 10
_TOP, _HEIGHT, _FOOT = 14, 120, 22
_LABELS = 8

Bar = tuple[str, str, tuple[tuple[str, int], ...]]
"""What it is of, what it says, and its parts from the bottom up: class and figure."""


def tokens(course: Sequence[tuple[str, Line]]) -> SafeString:
    """Tokens: cached, read anew, written."""
    return _draw("tokens", "Tokens", [_token_bar(name, line) for name, line in course])


def requests(course: Sequence[tuple[str, Line]]) -> SafeString:
    """Requests: those that went wrong on top."""
    return _draw("requests", "Requests", [_request_bar(name, line) for name, line in course])


def _token_bar(name: str, line: Line) -> Bar:
    cached = min(line.cached_tokens, line.input_tokens)
    said = f"{markup.figure(cached)} cached, {markup.figure(line.input_tokens - cached)} read, "
    parts = (("cached", cached), ("read", line.input_tokens - cached), ("written", line.output_tokens))
    return name, f"{said}{markup.figure(line.output_tokens)} written", parts


def _request_bar(name: str, line: Line) -> Bar:
    said = f"{markup.figure(line.requests)} requests, {markup.figure(line.errors)} went wrong"
    return name, said, (("went-well", line.requests - line.errors), ("went-wrong", line.errors))


def _draw(what: str, title: str, bars: Sequence[Bar]) -> SafeString:
    most = max((sum(figure for _, figure in parts) for _, _, parts in bars), default=0)
    if not most:
        return SafeString("")
    base = _TOP + _HEIGHT
    span = f"{len(bars)} bars from {bars[0][0]} to {bars[-1][0]}"
    return format_html(
        '<svg class="usage-chart" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-t {2}-d">'
        '<title id="{2}-t">{3}</title><desc id="{2}-d">{4}</desc>'
        '<path class="axis" d="M{5} {6}V{7}H{8}"/><text x="{9}" y="{10}" class="end">{11}</text>'
        '<text x="{9}" y="{7}" class="end">0</text>{12}</svg>',
        _WIDTH, base + _FOOT, what, title,
        f"{span}; the highest is {markup.figure(most)}. The table has the figures.",
        _LEFT, _TOP, base, _WIDTH - _RIGHT, _LEFT - 6, _TOP + 5, markup.figure(most),
        format_html_join("", "{}", ((bar,) for bar in _bars(bars, most, base))),
    )  # fmt: skip


def _bars(bars: Sequence[Bar], most: int, base: int) -> Iterator[SafeString]:
    step = (_WIDTH - _LEFT - _RIGHT) / len(bars)
    labelled = max(1, len(bars) // _LABELS)
    for index, (name, said, parts) in enumerate(bars):
        x, y, drawn = _LEFT + step * index, float(base), []
        for kind, figure in parts:
            high = _HEIGHT * figure / most
            y -= high
            if figure:
                drawn.append((kind, f"{x + step * 0.1:.1f}", f"{y:.1f}", f"{step * 0.8:.1f}", f"{max(high, 0.5):.1f}"))
        shapes = format_html_join("", '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>', drawn)
        if shapes:
            yield format_html("<g><title>{}: {}</title>{}</g>", name, said, shapes)
        if index % labelled == 0:
            yield format_html('<text x="{}" y="{}">{}</text>', f"{x + step / 2:.1f}", base + 15, _short(name))


def _short(name: str) -> str:
    """Hours as "Nov 23 07:00" lose their day, days as "2026-11-23" their year."""
    return name[-5:]

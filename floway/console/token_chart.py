"""Draws what each turn read and how much of it a cache held, turn by turn; the table beside it says the same in figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from floway import markup
from responses_app.cache_history import ExplainedTurn

_BAR, _STEP = 14, 22
_TOP, _HEIGHT, _FOOT = 18, 110, 22
_LEFT = 62


def draw(turns: Sequence[ExplainedTurn]) -> SafeString:
    """The chart of `turns`, oldest first."""
    told = [turn for turn in turns if turn.exchange.input_tokens]
    if not told:
        return SafeString("")
    most = max(turn.exchange.input_tokens or 0 for turn in told)
    width, base = _LEFT + _STEP * len(turns), _TOP + _HEIGHT
    cached = sum(turn.exchange.cached_tokens or 0 for turn in told)
    share = markup.share(cached, sum(turn.exchange.input_tokens or 0 for turn in told))
    return format_html(
        '<svg class="tokens" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group" aria-labelledby="tokens-t tokens-d">'
        '<title id="tokens-t">Tokens read per turn</title><desc id="tokens-d">{2}</desc>'
        '<path class="axis" d="M{3} {4}V{5}H{0}"/><text x="{6}" y="{7}" class="most">{8}</text>'
        '<text x="{6}" y="{5}" class="most">0</text>{9}</svg>',
        width,
        base + _FOOT,
        f"{len(turns)} turns, oldest first; {share} of what they read was cached. The table below has the figures.",
        _LEFT - 4,
        _TOP - 6,
        base,
        _LEFT - 8,
        _TOP + 4,
        markup.figure(most),
        format_html_join("", "{}", ((bar,) for bar in _bars(turns, most, base))),
    )


def _bars(turns: Sequence[ExplainedTurn], most: int, base: int) -> Iterator[SafeString]:
    for index, turn in enumerate(turns):
        x = _LEFT + _STEP * index
        read, cached = turn.exchange.input_tokens or 0, turn.exchange.cached_tokens or 0
        high, low = round(_HEIGHT * read / most), round(_HEIGHT * min(cached, read) / most)
        yield format_html(
            '<a href="../../../exchange/{}/change/"><title>{}</title><path class="read" d="M{} {}h{}v-{}h-{}z"/>'
            '<path class="cached" d="M{} {}h{}v-{}h-{}z"/>{}</a>',
            turn.exchange.pk, _words(turn), x, base, _BAR, max(high, 1), _BAR, x, base, _BAR, low, _BAR,
            _marks(turn, x, base, high),
        )  # fmt: skip


def _marks(turn: ExplainedTurn, x: int, base: int, high: int) -> SafeString:
    middle = x + _BAR // 2
    missed = turn.reason is not None and turn.reason.cause.is_miss
    miss = format_html('<text x="{}" y="{}" class="miss">✗</text>', middle, base - high - 4) if missed else SafeString("")
    if not turn.moved:
        return miss
    return miss + format_html('<text x="{}" y="{}" class="moved">⇄</text>', middle, base + 15)


def _words(turn: ExplainedTurn) -> str:
    exchange = turn.exchange
    when = f"{exchange.started_at:%b %d %H:%M:%S}"
    if exchange.input_tokens is None:
        return f"{when}: no tokens told"
    said = f"{when}: {markup.figure(exchange.input_tokens)} read, {markup.figure(exchange.cached_tokens)} cached"
    why = f"; {turn.reason.word}" if turn.reason is not None and turn.reason.cause.is_miss else ""
    return said + why + ("; other credential" if turn.moved else "")

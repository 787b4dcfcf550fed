"""The course of one request as steps on its own time scale: from its acceptance over each attempt to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from floway import markup
from responses_app.models import Exchange

_ANSWERED = "answered"
_RESTING = "resting"


@dataclass(frozen=True, slots=True)
class Step:
    """What went on from `at` for `took` milliseconds since the acceptance; `tone` names its colour, `detail` says more.

    `whole` is the time that the scale spans.
    """

    what: str
    at: int
    took: int | None
    tone: str
    detail: str
    whole: int

    @property
    def bar(self) -> SafeString:
        """Its place on the scale; the figures stand beside it."""
        start = 100 * min(self.at, self.whole) / self.whole
        width = max(0.6, 100 * min(self.took or 0, self.whole - min(self.at, self.whole)) / self.whole)
        return format_html(
            '<svg class="timeline" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="{}" x="{}" width="{}" height="4"/></svg>',
            self.tone,
            f"{min(start, 99.4):.2f}",
            f"{width:.2f}",
        )


def steps(exchange: Exchange) -> Sequence[Step]:
    """The steps of `exchange`, as far as they are known."""
    attempts = _timed(list(markup.mappings(exchange.attempts)))
    last = max((at + took for at, took, _ in attempts), default=0)
    whole = max(exchange.total_ms or 0, last, exchange.first_byte_ms or 0, 1)
    return list(_steps(exchange, attempts, last, whole))


def _timed(attempts: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, Mapping[str, Any]]]:
    """Attempts with when they began; those that do not say so follow one another."""
    timed: list[tuple[int, int, Mapping[str, Any]]] = []
    end = 0
    for attempt in attempts:
        at, took = attempt.get("at"), attempt.get("ms")
        began, lasted = at if isinstance(at, int) else end, took if isinstance(took, int) else 0
        timed.append((began, lasted, attempt))
        end = began + lasted
    return timed


def _steps(exchange: Exchange, attempts: Sequence[tuple[int, int, Mapping[str, Any]]], last: int, whole: int) -> Iterator[Step]:
    begun = attempts[0][0] if attempts else exchange.total_ms
    yield Step("accepted: read, claimed, a credential chosen", 0, begun, "waiting", "", whole)
    for at, took, attempt in attempts:
        yield _attempt(at, took, attempt, whole)
    first, total = exchange.first_byte_ms, exchange.total_ms
    if first is not None:
        yield Step("waited for the first output", last, max(0, first - last), "waiting", "", whole)
        lasted = None if total is None else max(0, total - first)
        yield Step("output", first, lasted, "output", "", whole)
    if total is not None:
        tone = "output" if exchange.status == Exchange.Status.COMPLETED else "wrong"
        event = f"at {exchange.last_event}" if exchange.last_event else ""
        yield Step(f"end: {exchange.get_ended_by_display()}", total, 0, tone, event, whole)


def _attempt(at: int, took: int, attempt: Mapping[str, Any], whole: int) -> Step:
    outcome, credential = str(attempt.get("outcome", "")), attempt.get("credential", "?")
    if outcome == _RESTING:
        return Step(f"passed over {credential}: it rests", at, took, "waiting", str(attempt.get("detail", "")), whole)
    tone = "sent" if outcome == _ANSWERED else "wrong"
    detail = ": ".join(part for part in (outcome, str(attempt.get("detail") or "")) if part)
    return Step(f"sent with {credential}", at, took, tone, detail, whole)

"""A benchmark's figures, beside what they must be and what they should be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one row, on one database.

    :param must: what it has to reach. :param aim: what it should. :param higher: more is better.
    :param detail: what it was made of.
    """

    row: str
    measure: str
    database: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    higher: bool = False
    detail: str = ""

    def reaches(self, bound: float | None) -> bool | None:
        """Does it? None where there is nothing to reach."""
        if bound is None:
            return None
        return self.value >= bound if self.higher else self.value <= bound

    @property
    def verdict(self) -> str:
        """How it stands, in a word."""
        if self.reaches(self.aim):
            return "aim"
        if self.reaches(self.must):
            return "must"
        return "–" if self.must is None and self.aim is None else "missed"


_HEADINGS = ("measure", "database", "measured", "must", "aim", "reached", "made of")
LOAD_HEADINGS = (
    *("load", "road", "requests/s", "of direct", "of nginx", "events/s", "first event p50 ms", "p99", "whole p50 ms", "p99"),
    *("CPU ms/request", "CPU µs/event", "generator busy", "upstream busy", "errors"),
)


def table(figures: Iterable[Figure]) -> str:
    """The figures as Markdown."""
    return markdown(_HEADINGS, [_line(each) for each in figures])


def _line(figure: Figure) -> list[str]:
    bounds = [_bound(figure, bound) for bound in (figure.must, figure.aim)]
    value = f"{_number(figure.value)} {figure.unit}".strip()
    return [figure.measure, figure.database, value, *bounds, figure.verdict, figure.detail]


def _bound(figure: Figure, bound: float | None) -> str:
    if bound is None:
        return "–"
    return f"{'≥' if figure.higher else '≤'} {_number(bound)}"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def markdown(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table as Markdown."""
    headings = list(headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *lines))

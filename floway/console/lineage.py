"""Draws how the turns of a conversation descend from each other: the newest on top, a lane for each line of turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from floway import markup
from responses_app.descent import Descent, Manner, descents
from responses_app.models import Snapshot

_ROW = 24
_LANE = 18
_MARGIN = 14
_WORDS = 440
_TURN = 40
_LINES: Mapping[Manner, str] = MappingProxyType(
    {Manner.CONTINUED: "stated", Manner.RESENT: "resent", Manner.CHANGED: "changed", Manner.COMPACTED: "compacted"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a snapshot stands: its row from the top, its lane from the left."""

    row: int
    lane: int


def draw(snapshots: Sequence[Snapshot], current: int | None) -> SafeString:
    """The graph of `snapshots`, oldest first with their segments, exchanges and credentials; `current` is drawn heavy."""
    if not snapshots:
        return SafeString("")
    before = descents(snapshots)
    places = placed(snapshots, before)
    edge = _MARGIN + _LANE * (1 + max(place.lane for place in places.values()))
    width, height = edge + _WORDS + _TURN, _ROW * len(snapshots) + _MARGIN
    label = f"Lineage of {len(snapshots)} turns, the newest first"
    return format_html(
        '<svg class="lineage" viewBox="0 0 {} {}" width="{}" height="{}" role="group" aria-label="{}">{}{}</svg>',
        width, height, width, height, label, _edges(before, places, height), _nodes(snapshots, before, places, edge, current),
    )  # fmt: skip


def placed(snapshots: Sequence[Snapshot], before: Mapping[int, Descent]) -> Mapping[int, Place]:
    """Where each stands. A turn stays in the lane of the one before it in its window; a fork takes the first free lane."""
    row_of = {snapshot.pk: len(snapshots) - 1 - index for index, snapshot in enumerate(snapshots)}
    window_of = {snapshot.pk: snapshot.generation for snapshot in snapshots}
    places: dict[int, Place] = {}
    tips: list[int] = []
    for snapshot in snapshots:
        parent = before[snapshot.pk].before
        lane = _lane(parent, window_of.get(parent or 0) == snapshot.generation, places, tips, row_of[snapshot.pk])
        if lane == len(tips):
            tips.append(snapshot.pk)
        tips[lane] = snapshot.pk
        places[snapshot.pk] = Place(row_of[snapshot.pk], lane)
    return places


def _lane(parent: int | None, same_window: bool, places: Mapping[int, Place], tips: Sequence[int], row: int) -> int:
    """The parent's own, or the first whose last turn lies below where the new line leaves its parent."""
    if parent is not None and same_window and tips[places[parent].lane] == parent:
        return places[parent].lane
    leaves_at = places[parent].row if parent is not None else row + 1
    free = (lane for lane, tip in enumerate(tips) if places[tip].row > leaves_at)
    return next(free, len(tips))


def _at(place: Place) -> tuple[int, int]:
    return _MARGIN + _LANE * place.lane, _MARGIN + _ROW * place.row


def _edges(before: Mapping[int, Descent], places: Mapping[int, Place], height: int) -> SafeString:
    """One path for each manner of going on."""
    drawn: dict[str, list[str]] = {}
    for pk, descent in before.items():
        x, y = _at(places[pk])
        if descent.before is not None:
            drawn.setdefault(_LINES[descent.manner], []).append(_edge(_at(places[descent.before]), (x, y)))
        elif descent.manner is Manner.OLDER:
            drawn.setdefault("older", []).append(f"M{x} {y}V{min(y + _ROW, height)}")
    return format_html_join("", '<path class="{}" d="{}"/>', ((name, "".join(paths)) for name, paths in drawn.items()))


def _edge(old: tuple[int, int], new: tuple[int, int]) -> str:
    """Out of the old one's lane at once, then straight up."""
    (x, y), (to_x, to_y) = old, new
    if x == to_x:
        return f"M{x} {y}V{to_y}"
    turn = y - _ROW
    return f"M{x} {y}C{x} {turn + 8} {to_x} {y - 8} {to_x} {turn}V{to_y}"


def _nodes(
    snapshots: Sequence[Snapshot], before: Mapping[int, Descent], places: Mapping[int, Place], edge: int, current: int | None
) -> SafeString:
    children = Counter(descent.before for descent in before.values() if descent.before is not None)
    credentials = {snapshot.pk: snapshot.credential_id for snapshot in snapshots}
    parts = []
    for snapshot in reversed(snapshots):
        x, y = _at(places[snapshot.pk])
        parent = before[snapshot.pk].before
        moved = parent is not None and credentials[parent] != snapshot.credential_id
        words = ", ".join(
            _words(snapshot, before[snapshot.pk], children[snapshot.pk], moved=moved, heavy=snapshot.pk == current)
        )
        link = format_html(
            '<a href="../../../snapshot/{}/change/"{}>{}<text x="{}" y="{}">{}</text></a>',
            snapshot.pk,
            SafeString(' class="now"') if snapshot.pk == current else "",
            _shape(snapshot, x, y, heavy=snapshot.pk == current),
            edge,
            y + 4,
            words,
        )
        parts.append(link if snapshot.exchange_id is None else link + _turn(snapshot.exchange_id, edge + _WORDS, y + 4))
    return SafeString("".join(parts))


def _turn(exchange: int, x: int, y: int) -> SafeString:
    return format_html(
        '<a href="../../../exchange/{}/change/"><text x="{}" y="{}" class="turn">turn</text></a>', exchange, x, y
    )


def _shape(snapshot: Snapshot, x: int, y: int, *, heavy: bool) -> SafeString:
    """A diamond where a compaction began the window, a circle else; hollow where no caller can name it."""
    kept = snapshot.stored and snapshot.deleted_at is None
    radius = 8 if heavy else 5
    hollow = SafeString("") if kept else SafeString(' class="hollow"')
    if snapshot.compaction:
        reach = radius + 2
        return format_html(
            '<path d="M{} {}l{} {} {} {} {} {}z"{}/>', x - reach, y, reach, -reach, reach, reach, -reach, reach, hollow
        )
    return format_html('<circle cx="{}" cy="{}" r="{}"{}/>', x, y, radius, hollow)


def _words(snapshot: Snapshot, descent: Descent, children: int, *, moved: bool, heavy: bool) -> Iterator[str]:
    response = markup.clean(snapshot.response_id)
    yield f"…{response[-8:]}" if len(response) > 8 else response
    yield f"{snapshot.created_at:%b %d %H:%M}"
    yield f"window {snapshot.generation}"
    yield f"{snapshot.length} items"
    if children > 1:
        yield f"forks in {children}"
    if descent.manner in {Manner.CHANGED, Manner.COMPACTED}:
        yield "changed" if descent.manner is Manner.CHANGED else "compacted"
    if moved:
        yield "⇄ other credential"
    if snapshot.deleted_at is not None:
        yield "deleted"
    if heavy:
        yield "current"

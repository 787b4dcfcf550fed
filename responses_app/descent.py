"""Which turn each turn of a conversation went on from: what it said, or what its place in the stored segments shows."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from responses_app.models import Snapshot


class Manner(enum.Enum):
    """How a turn goes on from another; the value is how pages say it."""

    CONTINUED = "continued by its id"
    RESENT = "history sent anew"
    CHANGED = "history sent anew, but changed"
    COMPACTED = "compacted"
    OLDER = "goes on from an older one"
    ROOT = "begins anew"


@dataclass(frozen=True, slots=True)
class Descent:
    """From which snapshot, None where it is not among those looked at, or there is none."""

    manner: Manner
    before: int | None = None


def descents(snapshots: Sequence[Snapshot]) -> Mapping[int, Descent]:
    """The descent of each of `snapshots`, which come oldest first with their segments and exchanges."""
    found: dict[int, Descent] = {}
    earlier: list[Snapshot] = []
    for snapshot in snapshots:
        found[snapshot.pk] = _stated(snapshot, found) if snapshot.parent_id is not None else _shown(snapshot, earlier)
        earlier.append(snapshot)
    return found


def _stated(snapshot: Snapshot, known: Mapping[int, Descent]) -> Descent:
    if snapshot.parent_id not in known:
        return Descent(Manner.OLDER)
    return Descent(Manner.COMPACTED if snapshot.compaction else Manner.CONTINUED, snapshot.parent_id)


def _shown(snapshot: Snapshot, earlier: Sequence[Snapshot]) -> Descent:
    """By the segments: they grow at their end, and begin inside another where a history was left."""
    segment = snapshot.segment
    same = [row for row in earlier if row.segment_id == segment.pk and row.length < snapshot.length]
    if same:
        return Descent(Manner.RESENT, max(same, key=lambda row: row.length).pk)
    if segment.parent_id is not None:
        return _left(segment.parent_length, (row for row in earlier if row.segment_id == segment.parent_id))
    if snapshot.compaction:
        ran_in = snapshot.exchange.generation if snapshot.exchange else None
        before = [row.pk for row in earlier if row.generation == ran_in and row.stored == snapshot.stored]
        return Descent(Manner.COMPACTED, before[-1]) if before else Descent(Manner.OLDER)
    return Descent(Manner.ROOT)


def _left(position: int, rows: Iterable[Snapshot]) -> Descent:
    """The turn of another segment after which, or inside which, its history was left at `position`."""
    reached = [row for row in rows if row.length >= position]
    if not reached:
        return Descent(Manner.OLDER)
    before = min(reached, key=lambda row: row.length)
    return Descent(Manner.RESENT if before.length == position else Manner.CHANGED, before.pk)

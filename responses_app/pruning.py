"""Deletes snapshots, and of the items and segments whatever no other snapshot needs: some at a time, in the open transaction.

What is left after each transaction is whole: a snapshot that stands can be continued. The caller's transaction holds the rows
of the conversations concerned, so nothing is being written in them meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Subquery

from responses_app.models import Conversation, Exchange, Item, Segment, SegmentEntry, Snapshot

_ASKED_AT_ONCE = 500


def locked(conversation_ids: Iterable[int]) -> set[int]:
    """Lock these conversations, those left out that somebody else holds; returns which."""
    rows = Conversation.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=sorted(set(conversation_ids)))
    return set(rows.order_by("pk").values_list("pk", flat=True))


def in_use(conversation_ids: Collection[int]) -> set[int]:
    """Those of these conversations that a turn in flight is part of, or one of whose snapshots it continues."""
    running = Exchange.objects.in_flight()
    own = running.filter(conversation__in=conversation_ids).values_list("conversation_id", flat=True)
    continued = running.filter(continued__conversation__in=conversation_ids)
    return {pk for pk in own if pk} | set(continued.values_list("continued__conversation_id", flat=True))


def remove(snapshots: Collection[int]) -> Counter[str]:
    """Delete them, and what only they needed."""
    rows = Snapshot.objects.filter(pk__in=snapshots)
    segments = set(rows.values_list("segment_id", flat=True))
    removed = Counter(responses=len(snapshots))
    rows.only("pk").order_by().delete()
    while segments:
        cut, segments = _cut(segments)
        removed += cut
    return removed


def _cut(segment_ids: set[int]) -> tuple[Counter[str], set[int]]:
    """Cut off the ends that nobody needs, and delete segments that nobody needs at all; returns the parents of the latter."""
    needs = _needs(segment_ids)
    idle = {need.pk for need in needs if need.by_snapshots is None and need.by_forks is None}
    ends = Q(segment__in=idle)
    for need in needs:
        needed = max(need.by_snapshots or 0, need.by_forks or 0)
        if need.pk not in idle and needed < need.length:
            ends |= Q(segment=need.pk, position__gte=needed)
            Segment.objects.filter(pk=need.pk).update(length=needed)
    removed = _forget(SegmentEntry.objects.filter(ends))
    Segment.objects.filter(pk__in=idle)._raw_delete(DEFAULT_DB_ALIAS)
    return removed, {need.parent_id for need in needs if need.pk in idle and need.parent_id is not None}


@dataclass(frozen=True, slots=True)
class _Need:
    """A segment, and how far its snapshots and its forks need it; None where there are none."""

    pk: int
    parent_id: int | None
    length: int
    by_snapshots: int | None
    by_forks: int | None


def _needs(segment_ids: set[int]) -> list[_Need]:
    snapshots = Snapshot.objects.filter(segment=OuterRef("pk")).order_by().values("segment").annotate(n=Max("length"))
    forks = Segment.objects.filter(parent=OuterRef("pk")).order_by().values("parent").annotate(n=Max("parent_length"))
    rows = Segment.objects.filter(pk__in=segment_ids).annotate(
        by_snapshots=Subquery(snapshots.values("n")), by_forks=Subquery(forks.values("n"))
    )
    return [_Need(*row) for row in rows.values_list("pk", "parent_id", "length", "by_snapshots", "by_forks")]


def _forget(entries: QuerySet[SegmentEntry]) -> Counter[str]:
    """Delete these, and the items that stand nowhere any more."""
    found = list(entries.values_list("pk", "item_id"))
    for some in _portions([pk for pk, _ in found]):
        SegmentEntry.objects.filter(pk__in=some)._raw_delete(DEFAULT_DB_ALIAS)
    elsewhere = Exists(SegmentEntry.objects.filter(item=OuterRef("pk")))
    items = 0
    for some in _portions(sorted({item for _, item in found if item})):
        items += Item.objects.filter(~elsewhere, pk__in=some)._raw_delete(DEFAULT_DB_ALIAS)
    return Counter(entries=len(found), items=items)


def _portions(keys: Sequence[int]) -> Iterable[Sequence[int]]:
    return (keys[start : start + _ASKED_AT_ONCE] for start in range(0, len(keys), _ASKED_AT_ONCE))


def built_upon(snapshots: Collection[int]) -> set[int]:
    """Those on which others of their conversation are built that are not among them."""
    children = Snapshot.objects.filter(parent__in=snapshots, parent__conversation=F("conversation")).exclude(pk__in=snapshots)
    return set(children.order_by().values_list("parent_id", flat=True))

"""Deletes snapshots, and of the items and segments whatever no other snapshot needs: some at a time, in the open transaction.

What is left after each transaction is whole: a snapshot that stands can be continued. The caller's transaction holds the rows
of the conversations concerned, so nothing is being written in them meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from django.db.models import Exists, F, Max, OuterRef, Q, Subquery

from responses_app.models import Conversation, Exchange, Item, Segment, SegmentEntry, Snapshot

_ASKED_AT_ONCE = 500


def locked(conversation_ids: Iterable[int]) -> set[int]:
    """Lock these conversations, those left out that somebody else holds; returns which."""
    rows = Conversation.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=sorted(set(conversation_ids)))
    return set(rows.order_by("pk").values_list("pk", flat=True))


def in_use(conversation_ids: Collection[int]) -> set[int]:
    """Those of these conversations that a turn in flight is part of, or one of whose snapshots it continues."""
    own = Q(conversation__in=conversation_ids)
    continued = Q(continued__conversation__in=conversation_ids)
    found = Exchange.objects.in_flight().filter(own | continued).values_list("conversation_id", "continued__conversation_id")
    return {pk for pair in found for pk in pair} & set(conversation_ids)


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
    removed: Counter[str] = Counter()
    parents: set[int] = set()
    for pk, parent, length, snapshots, forks in _needs(segment_ids):
        needed = max(snapshots or 0, forks or 0)
        if needed < length:
            removed += _cut_at(pk, needed)
        if snapshots is None and forks is None:
            Segment.objects.filter(pk=pk).delete()
            parents |= {parent} if parent is not None else set()
    return removed, parents


def _needs(segment_ids: set[int]) -> list[tuple[int, int | None, int, int | None, int | None]]:
    """Of each segment: key, parent, length, and how far its snapshots and its forks need it; None where there are none."""
    snapshots = Snapshot.objects.filter(segment=OuterRef("pk")).order_by().values("segment").annotate(n=Max("length"))
    forks = Segment.objects.filter(parent=OuterRef("pk")).order_by().values("parent").annotate(n=Max("parent_length"))
    rows = Segment.objects.filter(pk__in=segment_ids).annotate(
        by_snapshots=Subquery(snapshots.values("n")), by_forks=Subquery(forks.values("n"))
    )
    return list(rows.values_list("pk", "parent_id", "length", "by_snapshots", "by_forks"))


def _cut_at(segment_id: int, position: int) -> Counter[str]:
    gone = SegmentEntry.objects.filter(segment=segment_id, position__gte=position)
    items = list(gone.exclude(item=None).values_list("item_id", flat=True))
    entries = gone.delete()[0]
    Segment.objects.filter(pk=segment_id).update(length=position)
    return Counter(entries=entries, items=_forget_items(items))


def _forget_items(items: list[int]) -> int:
    """Delete those that stand nowhere any more."""
    forgotten = 0
    distinct = sorted(set(items))
    for start in range(0, len(distinct), _ASKED_AT_ONCE):
        some = Item.objects.filter(pk__in=distinct[start : start + _ASKED_AT_ONCE])
        standing = SegmentEntry.objects.filter(item=OuterRef("pk"))
        forgotten += some.filter(~Exists(standing)).only("pk").delete()[0]
    return forgotten


def built_upon(snapshots: Collection[int]) -> set[int]:
    """Those on which others of their conversation are built that are not among them."""
    children = Snapshot.objects.filter(parent__in=snapshots, parent__conversation=F("conversation")).exclude(pk__in=snapshots)
    return set(children.order_by().values_list("parent_id", flat=True))

"""Clears away conversations and responses that are past their time, and what only they needed.

A response is used when it is made and when it is continued, and lives as long as anything built upon it: a conversation that
goes on is never cut. So what is past its time is found by one index and taken newest first; what is past its own time and
needed yet is moved to where the newest that needs it stands, and not looked at again before that is past.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.models import ApiKey
from responses_app import pruning
from responses_app.models import BackgroundResponse, Conversation, Exchange, NamedConversation, Snapshot
from responses_app.pacing import Pace

_CONVERSATIONS = 50
_SNAPSHOTS = 100
_ENTRIES = 500
"""Of a stroke; a turn that brought more items by itself has a stroke of its own."""


def cutoff(key: ApiKey, now: datetime) -> datetime:
    """What was last used before this is past its time."""
    return now - timedelta(days=key.retention_days or settings.FLOWAY_RETENTION_DAYS)


def collect(now: datetime, pace: Pace) -> tuple[Counter[str], bool]:
    """Clear away what is due.

    :returns: how many of what were removed, and whether nothing is left to do.
    """
    removed: Counter[str] = Counter()
    for key in ApiKey.objects.order_by("pk"):
        before, seen = cutoff(key, now), set[int]()
        while found := _due(key, before, seen):
            if pace.is_over:
                return removed, False
            removed += _clear(found, before, now, pace)
            seen.update(Conversation.objects.filter(pk__in=found).values_list("pk", flat=True))
    return removed, True


def _due(key: ApiKey, before: datetime, seen: set[int]) -> list[int]:
    """Some conversations of the key in which something is past its time; none twice."""
    deleted, old, empty = searches(key, before)
    found: dict[int, None] = {}
    for rows, column in ((deleted, "conversation_id"), (old, "conversation_id"), (empty, "pk")):
        found.update(dict.fromkeys(_first(rows, column, seen)))
    return list(found)[:_CONVERSATIONS]


def searches(key: ApiKey, before: datetime) -> tuple[QuerySet[Snapshot], QuerySet[Snapshot], QuerySet[Conversation]]:
    """What callers deleted, what is past its time, and conversations that are."""
    mine = Snapshot.objects.filter(api_key=key)
    deleted = mine.filter(deleted_at__isnull=False, needed_at=None).order_by("deleted_at")
    old = mine.filter(last_used_at__lt=before).order_by("last_used_at")
    empty = Conversation.objects.filter(api_key=key, last_used_at__lt=before).order_by("last_used_at")
    return deleted, old, empty


def _first(rows: QuerySet[Snapshot] | QuerySet[Conversation], column: str, seen: set[int]) -> Iterable[int]:
    """The first values that are not in `seen`; what is seen and still there is in use, which is little."""
    some = rows.values_list(column, flat=True)[: _SNAPSHOTS * 2 + len(seen)]
    return (value for value in some if value not in seen)


# --- what is past its time ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    pk: int
    conversation_id: int
    parent_id: int | None
    segment_id: int
    length: int
    last_used_at: datetime
    deleted_at: datetime | None
    needed_at: datetime | None


@dataclass(slots=True)
class _Verdict:
    """What is to be done with snapshots.

    :param dead: with how many entries each brought, newest first.
    :param used: what stays and was last used then, where its row says less.
    :param needed: those of them that their callers deleted.
    """

    dead: list[tuple[_Row, int]] = field(default_factory=list)
    used: dict[datetime, list[_Row]] = field(default_factory=lambda: defaultdict(list))
    needed: list[_Row] = field(default_factory=list)


def _judge(conversations: Sequence[int], before: datetime) -> _Verdict:
    rows = Snapshot.objects.filter(conversation__in=conversations).order_by("-pk")
    names = ("pk", "conversation_id", "parent_id", "segment_id", "length", "last_used_at", "deleted_at", "needed_at")
    snapshots = [_Row(*row) for row in rows.values_list(*names)]
    whose = {row.pk: row.conversation_id for row in snapshots}
    brought = _brought(snapshots)
    verdict, needed = _Verdict(), _held(conversations)
    for row in snapshots:
        used = max(row.last_used_at, needed.get(row.pk, row.last_used_at))
        if row.pk not in needed and (row.deleted_at is not None or row.last_used_at < before):
            verdict.dead.append((row, brought[row.pk]))
            continue
        if row.last_used_at < before:
            verdict.used[used].append(row)
        if row.deleted_at is not None and row.needed_at is None:
            verdict.needed.append(row)
        if row.parent_id is not None and whose.get(row.parent_id) == row.conversation_id:
            needed[row.parent_id] = max(used, needed.get(row.parent_id, used))
    return verdict


def _held(conversations: Sequence[int]) -> dict[int, datetime]:
    """What callers' handles and responses in the background stand on, and when those were used."""
    tips = NamedConversation.objects.filter(tip__conversation__in=conversations).values_list("tip_id", "last_used_at")
    waiting = BackgroundResponse.objects.live().filter(continued__conversation__in=conversations)
    return dict(tips) | {pk: timezone.now() for pk in waiting.values_list("continued_id", flat=True) if pk}


def _brought(snapshots: Sequence[_Row]) -> dict[int, int]:
    """How many entries went into a segment with each snapshot."""
    by_segment: dict[int, list[_Row]] = defaultdict(list)
    for row in snapshots:
        by_segment[row.segment_id].append(row)
    brought: dict[int, int] = {}
    for rows in by_segment.values():
        before = 0
        for row in sorted(rows, key=lambda row: row.length):
            brought[row.pk], before = row.length - before, row.length
    return brought


# --- clearing it away -----------------------------------------------------------------------------------------------------


def _clear(conversations: Sequence[int], before: datetime, now: datetime, pace: Pace) -> Counter[str]:
    verdict = _judge(conversations, before)
    removed: Counter[str] = Counter()
    for batch in _strokes(verdict.dead):
        with pace.stroke():
            removed += _remove(batch)
        if pace.is_over:
            return removed
    for used_at, rows in sorted(verdict.used.items()):
        _note(rows, pace, last_used_at=used_at)
    _note(verdict.needed, pace, needed_at=now)
    return removed + _remove_conversations(conversations, before, pace)


def _strokes(dead: Sequence[tuple[_Row, int]]) -> Iterable[list[_Row]]:
    batch: list[_Row] = []
    entries = 0
    for row, brought in dead:
        if batch and (len(batch) >= _SNAPSHOTS or entries + brought > _ENTRIES):
            yield batch
            batch, entries = [], 0
        batch.append(row)
        entries += brought
    if batch:
        yield batch


def _remove(batch: Sequence[_Row]) -> Counter[str]:
    """Delete what of the batch is idle still: a turn may have begun since it was judged, or ended."""
    idle = _idle(batch)
    held = pruning.built_upon([row.pk for row in batch])
    idle -= {row.conversation_id for row in batch if row.pk in held}
    return pruning.remove([row.pk for row in batch if row.conversation_id in idle])


def _note(rows: Sequence[_Row], pace: Pace, **moment: datetime) -> None:
    """Write a moment on what stays; where a turn is in flight, another round does."""
    for start in range(0, len(rows), _SNAPSHOTS):
        some = rows[start : start + _SNAPSHOTS]
        with pace.stroke():
            idle = _idle(some)
            Snapshot.objects.filter(pk__in=[row.pk for row in some if row.conversation_id in idle]).update(**moment)


def _idle(rows: Iterable[_Row]) -> set[int]:
    """Of their conversations lock those of which nobody holds the row and no turn is in flight.

    A turn locks the conversation, then a snapshot; a purge the conversation, then its snapshots; and who ends the turns of a
    dead process, those that they continued. So none of them and a stroke wait for each other.
    """
    idle = pruning.locked({row.conversation_id for row in rows})
    return idle - pruning.in_use(idle)


def _remove_conversations(conversations: Sequence[int], before: datetime, pace: Pace) -> Counter[str]:
    """Delete those in which nothing is left, with what they remember of how to be found."""
    empty = Conversation.objects.filter(pk__in=conversations, last_used_at__lt=before)
    empty = empty.filter(~Exists(Snapshot.objects.filter(conversation=OuterRef("pk"))))
    removed: Counter[str] = Counter()
    for start in range(0, len(found := list(empty.values_list("pk", flat=True))), _CONVERSATIONS):
        some = found[start : start + _CONVERSATIONS]
        detach(some, pace)
        with pace.stroke():
            idle = pruning.locked(some)
            idle -= pruning.in_use(idle)
            removed["conversations"] += empty.filter(pk__in=idle).only("pk").delete()[1].get("responses_app.Conversation", 0)
    return removed


def detach(conversations: Sequence[int], pace: Pace) -> None:
    """Let ended exchanges forget their conversation, some at a time, so that the last stroke is short."""
    rows = Exchange.objects.filter(conversation__in=conversations).exclude(status=Exchange.Status.IN_FLIGHT)
    while len(some := list(rows.values_list("pk", flat=True)[:_SNAPSHOTS])) == _SNAPSHOTS:
        with pace.stroke():
            Exchange.objects.filter(pk__in=some).update(conversation=None)

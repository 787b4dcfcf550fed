"""Content at rest: the segments that it is laid out in, their entries and items, and who issued what is encrypted in those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial

from floway import sql
from floway.sql import Tells
from responses_app.models import Item, Provenance, Segment, SegmentEntry

_ASKED_AT_ONCE = 500

_ITEMS = """
WITH RECURSIVE path(id, upto) AS (
    SELECT id, CAST(%s AS INTEGER) FROM responses_app_segment WHERE id = %s
    UNION ALL
    SELECT s.parent_id, s.parent_length FROM path p JOIN responses_app_segment s ON s.id = p.id WHERE s.parent_id IS NOT NULL
)
SELECT i.digest, i.sealed
FROM path JOIN responses_app_segmententry e ON e.segment_id = path.id AND e.position < path.upto
JOIN responses_app_item i ON i.id = e.item_id
WHERE e.position >= %s
ORDER BY e.position
"""


def items(segment_id: int, length: int, since: int) -> list[sql.Row]:
    """Digest and envelope of the first `length` items of a segment, its ancestors' included, from position `since`."""
    return sql.fetch(_ITEMS, [length, segment_id, since])


def furthest(conversation_id: int, chain: Sequence[bytes]) -> tuple[int, int, bytes] | None:
    """Segment, position and mark of the furthest entry of the conversation that bears one of these marks."""
    statement = (
        f"SELECT e.segment_id, e.position, e.chain FROM {sql.shape(SegmentEntry).table} e"
        f" JOIN {sql.shape(Segment).table} s ON s.id = e.segment_id"
        f" WHERE s.conversation_id = %s AND e.chain IN {sql.places(len(chain))} ORDER BY e.position DESC LIMIT 1"
    )
    for segment_id, position, mark in sql.fetch(statement, [conversation_id, *chain]):
        return segment_id, position, bytes(mark)
    return None


@cache
def _append() -> str:
    return f"UPDATE {sql.shape(Segment).table} SET length = %s WHERE id = %s AND length = %s"


def append(segment_id: int, length: int, to: int) -> Tells[bool]:
    """Let a segment that ends at `length` go on to `to`; tells False where it has gone on already."""
    return sql.changed(sql.later(_append(), [to, segment_id, length]))


def add(conversation_id: int, parent_id: int | None, parent_length: int, length: int) -> Tells[int]:
    """Insert one; tells its key."""
    shape = sql.shape(Segment)
    row = shape.row(conversation_id=conversation_id, parent_id=parent_id, parent_length=parent_length, length=length)
    return partial(shape.key_of, shape.add_one_later(row))


@dataclass(frozen=True, slots=True)
class Sealed:
    """One item, ready to be written. :param issuer: whose credential alone can read what is encrypted in it."""

    digest: bytes
    sealed: bytes = field(repr=False)
    issuer: int | None


def add_items(conversation_id: int, items: Sequence[Sealed]) -> Tells[dict[bytes, int]]:
    """Insert those that the conversation has not yet; tells the keys of all, by digest."""
    shape = sql.shape(Item)
    distinct, now = {item.digest: item for item in items}, datetime.now(UTC)
    rows = [
        shape.row(
            conversation_id=conversation_id, digest=item.digest, sealed=item.sealed, credential_id=item.issuer, created_at=now
        )
        for item in distinct.values()
    ]
    added = shape.add(rows, sql.IGNORE, returning="digest, id")
    return lambda: _keys(conversation_id, distinct, added)


def _keys(conversation_id: int, digests: Iterable[bytes], added: Sequence[sql.Asked]) -> dict[bytes, int]:
    """Those that were added tell theirs; the others are looked for."""
    keys = {bytes(digest): pk for some in added for digest, pk in some.fetchall()}
    known = f"SELECT digest, id FROM {sql.shape(Item).table} WHERE conversation_id = %s AND digest IN"
    missing = [digest for digest in digests if digest not in keys]
    for start in range(0, len(missing), _ASKED_AT_ONCE):
        asked = missing[start : start + _ASKED_AT_ONCE]
        found = sql.fetch(f"{known} {sql.places(len(asked))}", [conversation_id, *asked])
        keys.update((bytes(digest), pk) for digest, pk in found)
    return keys


def add_entries(segment_id: int, start: int, marks: Sequence[bytes], items: Sequence[int | None]) -> None:
    """Insert them, the first at position `start`."""
    shape = sql.shape(SegmentEntry)
    rows = [
        shape.row(segment_id=segment_id, position=start + offset, chain=mark, item_id=item)
        for offset, (mark, item) in enumerate(zip(marks, items, strict=True))
    ]
    shape.add(rows)


def add_provenance(api_key_id: int, digests: Iterable[bytes], issuer: int) -> None:
    """Insert what is not known yet; in one order, lest two who insert the same wait for each other."""
    shape = sql.shape(Provenance)
    rows = [shape.row(api_key_id=api_key_id, digest=digest, credential_id=issuer) for digest in sorted(digests)]
    shape.add(rows, sql.IGNORE)

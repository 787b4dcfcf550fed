"""The raw SQL of this app: what every turn asks and writes. Why it is raw stands in `docs/decisions/0011-raw-statements.md`.

What is written belongs into the caller's open transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, TypeVar

from django.db import IntegrityError, connection

from floway import sql
from floway.wire.json import JSON, dumps
from responses_app.models import Conversation, Exchange, Item, Keepsake, Provenance, RecallKey, Segment, SegmentEntry, Snapshot

_T = TypeVar("_T")
Tells = Callable[[], _T]
"""What a statement that is sent later gives: whoever calls it has all sent that waits. See `floway.sql.later`."""
_ASKED_AT_ONCE = 500
_IGNORE = "ON CONFLICT DO NOTHING"


def _locking(how: str) -> str:
    """The end of a SELECT that locks rows. SQLite's writers come one by one and lock none."""
    return "" if connection.vendor == "sqlite" else f" FOR {how}"


def _lock_conversation(conversation_id: int, how: str) -> None:
    if locking := _locking(how):
        sql.fetch(f"SELECT 1 FROM {sql.shape(Conversation).table} WHERE id = %s{locking}", [conversation_id])


# --- what a turn stands on --------------------------------------------------------------------------------------------------


def _routing() -> sql.Shape[Snapshot]:
    """A snapshot less what is large and not needed to go on from it."""
    return sql.shape(Snapshot, without=("answer",))


@cache
def _snapshot() -> str:
    snapshot, conversation = _routing(), sql.shape(Conversation)
    return (
        f"SELECT {snapshot.columns('s')}, {conversation.columns('c')}"
        f" FROM {snapshot.table} s JOIN {conversation.table} c ON c.id = s.conversation_id"
        " WHERE s.response_id = %s AND s.api_key_id = %s AND s.stored = %s AND s.deleted_at IS NULL AND c.purge_id IS NULL"
    )


def snapshot(api_key_id: int, response_id: str, *, stored: bool = True) -> Snapshot | None:
    """The snapshot that this key may name so, see `SnapshotQuerySet.visible_to`; its conversation is joined.

    :param stored: False finds the record of a turn whose content is elsewhere.
    """
    rows = sql.fetch(_snapshot(), [response_id, api_key_id, stored])
    if not rows:
        return None
    snapshots = _routing()
    found = snapshots.instance(rows[0])
    sql.relate(found, conversation=sql.shape(Conversation).instance(rows[0], snapshots.width))
    return found


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


@cache
def _of_scope() -> str:
    conversation = sql.shape(Conversation)
    return (
        f"SELECT {conversation.columns('c')}, 0 FROM {conversation.table} c"
        " WHERE c.api_key_id = %s AND c.provider = %s AND c.scope_digest = %s"
    )


@cache
def _recalled() -> str:
    conversation = sql.shape(Conversation)
    return (
        f"SELECT {conversation.columns('c')}, 1 FROM {sql.shape(RecallKey).table} r"
        f" JOIN {conversation.table} c ON c.id = r.conversation_id"
        " WHERE r.api_key_id = %s AND r.provider = %s AND r.digest = %s"
    )


def conversation(api_key_id: int, provider: str, scope: bytes) -> Conversation | None:
    """The conversation of this scope."""
    rows = sql.fetch(_of_scope(), [api_key_id, provider, scope])
    return sql.shape(Conversation).instance(rows[0]) if rows else None


def recalled(api_key_id: int, provider: str, recall: bytes, scope: bytes) -> tuple[Conversation | None, bool]:
    """The conversation that a recall key finds, else that of the scope; and whether it was recalled."""
    both = f"{_recalled()} UNION ALL {_of_scope()}"
    rows = sql.fetch(both, [api_key_id, provider, recall, api_key_id, provider, scope])
    if not rows:
        return None, False
    row = max(rows, key=lambda row: row[-1])
    return sql.shape(Conversation).instance(row), bool(row[-1])


@cache
def _keepsakes() -> str:
    return (
        f"SELECT key, sealed FROM {sql.shape(Keepsake).table}"
        " WHERE conversation_id = %s AND credential_id = %s ORDER BY id DESC LIMIT %s"
    )


def keepsakes(conversation_id: int, credential_id: int, most: int) -> list[sql.Row]:
    """Key and envelope of the newest."""
    return sql.fetch(_keepsakes(), [conversation_id, credential_id, most])


# --- the claim --------------------------------------------------------------------------------------------------------------


def add_conversation(made: Conversation) -> bool:
    """Insert it, unless there is one of its scope."""
    shape = sql.shape(Conversation)
    key = shape.add_one(shape.values(made), _IGNORE)
    if key is not None:
        sql.stored(made, key)
    return key is not None


def register(api_key_id: int, provider: str, recall: bytes, conversation_id: int) -> None:
    """Let the recall key find the conversation, which is new.

    :raises IntegrityError: it finds another already; told by the commit, if not before.
    """
    shape = sql.shape(RecallKey)
    shape.add([shape.row(api_key_id=api_key_id, provider=provider, digest=recall, conversation_id=conversation_id)])


@cache
def _draw() -> str:
    return (
        f"UPDATE {sql.shape(Conversation).table} SET next_generation = next_generation + 1 WHERE id = %s"
        " RETURNING next_generation - 1"
    )


def draw(conversation_id: int) -> int:
    """The next number never handed out. :raises IntegrityError: the conversation is gone."""
    return _told(sql.fetch(_draw(), [conversation_id]))


def _told(rows: list[sql.Row]) -> int:
    if not rows:
        raise IntegrityError("the conversation is gone")
    return int(rows[0][0])


@cache
def _pass_over() -> str:
    return f"UPDATE {sql.shape(Conversation).table} SET next_generation = %s WHERE id = %s AND next_generation < %s"


def pass_over(conversation_id: int, number: int) -> None:
    """Hand out no number up to and including this one."""
    sql.later(_pass_over(), [number + 1, conversation_id, number + 1])


@cache
def _rename() -> str:
    same = "opaque_window IS NULL OR opaque_window = %s"
    return (
        f"UPDATE {sql.shape(Conversation).table} SET opaque_window = %s,"
        f" generation = CASE WHEN {same} THEN generation ELSE next_generation END,"
        f" next_generation = CASE WHEN {same} THEN next_generation ELSE next_generation + 1 END"
        " WHERE id = %s RETURNING generation"
    )


def rename_window(conversation_id: int, name: str) -> int:
    """The number of the current window, which is called `name` from now on: a new one if it was called otherwise.

    :raises IntegrityError: the conversation is gone.
    """
    return _told(sql.fetch(_rename(), [name, name, name, conversation_id]))


@cache
def _hold() -> str:
    snapshot, conversation = sql.shape(Snapshot).table, sql.shape(Conversation).table
    # A turn that settles locks the conversation, then the snapshot. So does this: who is too late for the window has the
    # snapshot locked all the same, and draws a number from the conversation next.
    return (
        f"UPDATE {snapshot} SET continued_by_id = (SELECT id FROM {sql.shape(Exchange).table} WHERE request_id = %s),"
        f" continued_until = {sql.moment()}"
        f" WHERE id = %s AND (continued_by_id IS NULL OR continued_until < {sql.moment()})"
        f" AND conversation_id = (SELECT id FROM {conversation} WHERE id = %s{_locking('NO KEY UPDATE')})"
    )


def hold(snapshot: Snapshot, request_id: str, seconds: int) -> bool:
    """Lease a snapshot's own window to an exchange, if nobody has it for good or under a lease that still runs."""
    return bool(sql.change(_hold(), [request_id, seconds, snapshot.pk, 0, snapshot.conversation_id]))


def release(exchange_id: int) -> None:
    """Give back what the exchange holds."""
    table = sql.shape(Snapshot).table
    sql.later(
        f"UPDATE {table} SET continued_by_id = NULL, continued_until = NULL WHERE continued_by_id = %s",
        [exchange_id],
    )


@cache
def _keep() -> str:
    return (
        f"UPDATE {sql.shape(Snapshot).table} SET continued_by_id = %s, continued_until = NULL"
        f" WHERE id = %s AND (continued_by_id IS NULL OR continued_by_id = %s OR continued_until < {sql.moment()})"
    )


def keep(snapshot_id: int, exchange_id: int) -> Tells[bool]:
    """Hold a snapshot's window for good; tells False where another has it."""
    return _changes(sql.later(_keep(), [exchange_id, snapshot_id, exchange_id, 0]))


def _changes(asked: sql.Asked) -> Tells[bool]:
    return lambda: bool(asked.rowcount)


def add_exchange(exchange: Exchange) -> sql.Asked:
    """Insert it, and remember what its row holds; see `note_row`."""
    shape = sql.shape(Exchange)
    exchange.recorded = shape.values(exchange)
    return shape.add_one_later(exchange.recorded)


def note_row(exchange: Exchange, added: sql.Asked) -> None:
    """It has the row that was inserted."""
    sql.stored(exchange, sql.shape(Exchange).key_of(added))


def set_generation(exchange: Exchange) -> None:
    """Write the window that it runs in."""
    shape = sql.shape(Exchange)
    sql.later(f"UPDATE {shape.table} SET generation = %s WHERE request_id = %s", [exchange.generation, exchange.request_id])
    exchange.recorded = shape.values(exchange)


def forget_row(exchange: Exchange) -> None:
    """What was rolled back has no row: its number may be another's by now."""
    exchange.pk, exchange.recorded = None, None
    exchange._state.adding = True


_TOLD_OF_THE_LOST = frozenset({'"error_code"', '"operator_note"'})
"""What another process may have written: it took this one for dead while the turn ran."""


_NOT_ENDED = "(status = 'in_flight' OR ended_by = 'lost')"
"""Who was taken for dead and lives ends its turns after all."""


def end_exchange(exchange: Exchange) -> Tells[bool]:
    """Write what differs from what is recorded, so that columns that others write are left alone; a new row, if it has none.

    :returns: tells whether this ended it. It may have ended before, by a commit whose answer was lost: then nothing is written.
    """
    if exchange._state.adding and _add_ended(exchange):
        return lambda: True
    shape = sql.shape(Exchange)
    values = shape.values(exchange)
    before = exchange.recorded or [object()] * len(values)
    changed = [
        (column, new)
        for column, new, old in zip(shape.written, values, before, strict=True)
        if new != old or column in _TOLD_OF_THE_LOST
    ]
    sets = ", ".join([f"{column} = %s" for column, _ in changed])
    statement = f"UPDATE {shape.table} SET {sets} WHERE id = %s AND {_NOT_ENDED}"
    return _changes(sql.later(statement, [*(value for _, value in changed), exchange.pk]))


def _add_ended(exchange: Exchange) -> bool:
    """Insert it; False where it has a row already, for the claim or an earlier end was committed and its answer was lost."""
    shape = sql.shape(Exchange)
    key = shape.add_one(shape.values(exchange), "ON CONFLICT (request_id) DO NOTHING")
    if key is not None:
        sql.stored(exchange, key)
        return True
    for (known,) in sql.fetch(f"SELECT id FROM {shape.table} WHERE request_id = %s", [exchange.request_id]):
        sql.stored(exchange, known)
        release(known)
    return False


def note_delivery(exchange: Exchange) -> None:
    """Write who ended it."""
    table = sql.shape(Exchange).table
    sql.later(f"UPDATE {table} SET ended_by = %s WHERE id = %s", [exchange.ended_by, exchange.pk])


# --- settling ---------------------------------------------------------------------------------------------------------------


@cache
def _stands() -> str:
    snapshot, conversation = sql.shape(Snapshot).table, sql.shape(Conversation).table
    # A purge takes the conversation's key away, so it waits for whoever refers to that; turns that settle there do not.
    return (
        f"SELECT 1 FROM {snapshot} s JOIN {conversation} c ON c.id = s.conversation_id"
        f" WHERE s.id = %s AND c.purge_id IS NULL{_locking('KEY SHARE OF c')}"
    )


def stands(snapshot_id: int) -> bool:
    """Is the snapshot there, and its conversation not purged? Nor will it be before the open transaction ends."""
    return bool(sql.fetch(_stands(), [snapshot_id]))


def refer(conversation_id: int) -> None:
    """Lock a conversation as a row that refers to it does at the commit: against whoever clears it away."""
    _lock_conversation(conversation_id, "KEY SHARE")


def is_settled(conversation_id: int, response_id: str) -> bool:
    """Did a commit come through of which only the answer was lost? Waits for it, where it may still be under way."""
    _lock_conversation(conversation_id, "NO KEY UPDATE")
    return bool(sql.fetch(f"SELECT 1 FROM {sql.shape(Snapshot).table} WHERE response_id = %s", [response_id]))


@cache
def _touch(*, uses: bool, remembers: bool, opens: bool) -> str:
    sets = ["credential_id = %s"]
    sets += ["last_used_at = %s"] if uses else []
    sets += ["latest_note = %s"] if remembers else []
    sets += ["generation = next_generation", "next_generation = next_generation + 1", "opaque_window = NULL"] if opens else []
    return (
        f"UPDATE {sql.shape(Conversation).table} SET {', '.join(sets)} WHERE id = %s AND purge_id IS NULL RETURNING generation"
    )


def touch(
    conversation_id: int, credential_id: int | None, used_at: datetime | None, note: JSON | None, *, opens_window: bool
) -> Tells[int | None]:
    """Write what a conversation remembers of a turn; tells its current window's number. Locks the row.

    :param used_at: None leaves it as it is, and two indexes with it.
    :param opens_window: a compaction: roots of the conversation run in a new window from now on.
    :returns: tells None where it was purged: nothing was written.
    """
    values: list[Any] = [credential_id]
    values += [] if used_at is None else [sql.timestamp(used_at)]
    values += [conversation_id] if note is None else [dumps(note).decode(), conversation_id]
    statement = _touch(uses=used_at is not None, remembers=note is not None, opens=opens_window)
    asked = sql.later(statement, values)
    return lambda: next((int(generation) for (generation,) in asked.fetchall()), None)


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
    return _changes(sql.later(_append(), [to, segment_id, length]))


def add_segment(conversation_id: int, parent_id: int | None, parent_length: int, length: int) -> Tells[int]:
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
    added = shape.add(rows, _IGNORE, returning="digest, id")
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
    shape.add(rows, _IGNORE)


def add_snapshot(**values: Any) -> None:
    """Insert one with these values, by the fields' attribute names."""
    shape = sql.shape(Snapshot)
    shape.add([shape.row(**values)])


def put_keepsake(conversation_id: int, credential_id: int, key: str, sealed: bytes, *, most: int) -> None:
    """Keep it, in the place of an older one of the same key; beyond `most` of its conversation and credential the oldest go."""
    shape = sql.shape(Keepsake)
    row = shape.row(conversation_id=conversation_id, credential_id=credential_id, key=key, sealed=sealed)
    shape.add([row], "ON CONFLICT (conversation_id, credential_id, key) DO UPDATE SET sealed = EXCLUDED.sealed")
    mine = "conversation_id = %s AND credential_id = %s"
    newest = f"SELECT id FROM {shape.table} WHERE {mine} ORDER BY id DESC LIMIT %s"
    whose = [conversation_id, credential_id]
    sql.change(f"DELETE FROM {shape.table} WHERE {mine} AND id NOT IN ({newest})", [*whose, *whose, most])

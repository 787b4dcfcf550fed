"""Snapshots, and who holds the context window that one of them ends in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from floway import sql
from floway.sql import Tells
from responses_app.models import Conversation, Exchange, Snapshot
from responses_app.statements import conversations


def _routing() -> sql.Shape[Snapshot]:
    """A snapshot less what is large and not needed to go on from it."""
    return sql.shape(Snapshot, without=("answer",))


@cache
def _found() -> str:
    snapshot, conversation = _routing(), sql.shape(Conversation)
    return (
        f"SELECT {snapshot.columns('s')}, {conversation.columns('c')}"
        f" FROM {snapshot.table} s JOIN {conversation.table} c ON c.id = s.conversation_id"
        " WHERE s.response_id = %s AND s.api_key_id = %s AND s.stored = %s AND s.deleted_at IS NULL AND c.purge_id IS NULL"
    )


def find(api_key_id: int, response_id: str, *, stored: bool = True) -> Snapshot | None:
    """The snapshot that this key may name so, see `SnapshotQuerySet.visible_to`; its conversation is joined.

    :param stored: False finds the record of a turn whose content is elsewhere.
    """
    rows = sql.fetch(_found(), [response_id, api_key_id, stored])
    if not rows:
        return None
    snapshots = _routing()
    found = snapshots.instance(rows[0])
    sql.relate(found, conversation=sql.shape(Conversation).instance(rows[0], snapshots.width))
    return found


_OF_TURN = """
WITH reached AS (
    SELECT e.segment_id, e.position FROM responses_app_segmententry e JOIN responses_app_segment g ON g.id = e.segment_id
    WHERE g.conversation_id = %s AND e.chain IN {marks} ORDER BY e.position DESC, e.segment_id DESC LIMIT 1
), beside AS (
    SELECT f.id FROM reached r JOIN responses_app_segment f ON f.parent_id = r.segment_id AND f.parent_length = r.position + 1
    ORDER BY f.id DESC LIMIT 8
), runs AS (
    SELECT segment_id AS id FROM reached UNION ALL SELECT id FROM beside
), known AS (
    SELECT s.id, s.length, r.position, CASE
        WHEN s.length = r.position + 1 THEN 0
        WHEN x.input_items <= r.position + 1 THEN 1
        ELSE 2 END AS remoteness
    FROM reached r CROSS JOIN runs JOIN responses_app_snapshot s ON s.segment_id = runs.id AND s.length > r.position
    LEFT JOIN responses_app_exchange x ON x.id = s.exchange_id
)
SELECT {columns} FROM known k JOIN responses_app_snapshot s ON s.id = k.id
WHERE k.remoteness < 2 OR k.position > %s
ORDER BY k.remoteness, CASE WHEN k.remoteness = 2 THEN k.length END, k.id DESC LIMIT 1
"""


def of_turn(conversation_id: int, marks: Sequence[bytes], began_at: int) -> Snapshot | None:
    """Of the turn that began with the item at this position: the snapshot that a history shares most with.

    It ends where the history stops being known. Else the history left it inside its answer, for callers shorten what they send
    again: the newest whose whole input the history begins with. Else inside its input, behind the item that began the turn.

    :param marks: the history's, from that position on.
    """
    statement = _OF_TURN.format(marks=sql.places(len(marks)), columns=_routing().columns("s"))
    rows = sql.fetch(statement, [conversation_id, *marks, began_at])
    return _routing().instance(rows[0]) if rows else None


def add(**values: Any) -> None:
    """Insert one with these values, by the fields' attribute names."""
    shape = sql.shape(Snapshot)
    shape.add([shape.row(**values)])


@cache
def _stands() -> str:
    snapshot, conversation = sql.shape(Snapshot).table, sql.shape(Conversation).table
    # A purge takes the conversation's key away, so it waits for whoever refers to that; turns that settle there do not.
    return (
        f"SELECT 1 FROM {snapshot} s JOIN {conversation} c ON c.id = s.conversation_id"
        f" WHERE s.id = %s AND c.purge_id IS NULL{sql.locking('KEY SHARE OF c')}"
    )


def stands(snapshot_id: int) -> bool:
    """Is the snapshot there, and its conversation not purged? Nor will it be before the open transaction ends."""
    return bool(sql.fetch(_stands(), [snapshot_id]))


def is_settled(conversation_id: int, response_id: str) -> bool:
    """Did a commit come through of which only the answer was lost? Waits for it, where it may still be under way."""
    conversations.lock(conversation_id, "NO KEY UPDATE")
    return bool(sql.fetch(f"SELECT 1 FROM {sql.shape(Snapshot).table} WHERE response_id = %s", [response_id]))


@cache
def _hold() -> str:
    snapshot, conversation = sql.shape(Snapshot).table, sql.shape(Conversation).table
    # A turn that settles locks the conversation, then the snapshot. So does this: who is too late for the window has the
    # snapshot locked all the same, and draws a number from the conversation next.
    return (
        f"UPDATE {snapshot} SET continued_by_id = (SELECT id FROM {sql.shape(Exchange).table} WHERE request_id = %s),"
        f" continued_until = {sql.moment()}"
        f" WHERE id = %s AND (continued_by_id IS NULL OR continued_until < {sql.moment()})"
        f" AND conversation_id = (SELECT id FROM {conversation} WHERE id = %s{sql.locking('NO KEY UPDATE')})"
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
    return sql.changed(sql.later(_keep(), [exchange_id, snapshot_id, exchange_id, 0]))

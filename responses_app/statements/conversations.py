"""Conversations, the keys that recall them, and the numbers of their context windows."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from django.db import IntegrityError

from floway import sql
from floway.sql import Tells
from floway.wire.json import JSON, dumps
from responses_app.models import Conversation, RecallKey


def lock(conversation_id: int, how: str) -> None:
    """Lock its row, as PostgreSQL calls it; see `floway.sql.locking`."""
    if locking := sql.locking(how):
        sql.fetch(f"SELECT 1 FROM {sql.shape(Conversation).table} WHERE id = %s{locking}", [conversation_id])


@cache
def _of_scope() -> str:
    conversation = sql.shape(Conversation)
    return (
        f"SELECT {conversation.columns('c')}, 0 FROM {conversation.table} c"
        " WHERE c.api_key_id = %s AND c.provider = %s AND c.scope_digest = %s"
    )


def find(api_key_id: int, provider: str, scope: bytes) -> Conversation | None:
    """The conversation of this scope."""
    rows = sql.fetch(_of_scope(), [api_key_id, provider, scope])
    return sql.shape(Conversation).instance(rows[0]) if rows else None


@cache
def _recalled() -> str:
    conversation = sql.shape(Conversation)
    return (
        f"SELECT {conversation.columns('c')}, 1 FROM {sql.shape(RecallKey).table} r"
        f" JOIN {conversation.table} c ON c.id = r.conversation_id"
        " WHERE r.api_key_id = %s AND r.provider = %s AND r.digest = %s"
    )


def recalled(api_key_id: int, provider: str, recall: bytes, scope: bytes) -> tuple[Conversation | None, bool]:
    """The conversation that a recall key finds, else that of the scope; and whether it was recalled."""
    both = f"{_recalled()} UNION ALL {_of_scope()}"
    rows = sql.fetch(both, [api_key_id, provider, recall, api_key_id, provider, scope])
    if not rows:
        return None, False
    row = max(rows, key=lambda row: row[-1])
    return sql.shape(Conversation).instance(row), bool(row[-1])


def add(made: Conversation) -> bool:
    """Insert it, unless there is one of its scope."""
    shape = sql.shape(Conversation)
    key = shape.add_one(shape.values(made), sql.IGNORE)
    if key is not None:
        sql.stored(made, key)
    return key is not None


def register(api_key_id: int, provider: str, recall: bytes, conversation_id: int) -> None:
    """Let the recall key find the conversation, which is new.

    :raises IntegrityError: it finds another already; told by the commit, if not before.
    """
    shape = sql.shape(RecallKey)
    shape.add([shape.row(api_key_id=api_key_id, provider=provider, digest=recall, conversation_id=conversation_id)])


def refer(conversation_id: int) -> None:
    """Lock a conversation as a row that refers to it does at the commit: against whoever clears it away."""
    lock(conversation_id, "KEY SHARE")


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

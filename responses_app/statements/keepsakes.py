"""What upstream answers asked to be shown again."""

from __future__ import annotations

from functools import cache

from floway import sql
from responses_app.models import Keepsake


@cache
def _newest() -> str:
    return (
        f"SELECT key, sealed FROM {sql.shape(Keepsake).table}"
        " WHERE conversation_id = %s AND credential_id = %s ORDER BY id DESC LIMIT %s"
    )


def newest(conversation_id: int, credential_id: int, most: int) -> list[sql.Row]:
    """Key and envelope of the newest."""
    return sql.fetch(_newest(), [conversation_id, credential_id, most])


def put(conversation_id: int, credential_id: int, key: str, sealed: bytes, *, most: int) -> None:
    """Keep it, in the place of an older one of the same key; beyond `most` of its conversation and credential the oldest go."""
    shape = sql.shape(Keepsake)
    row = shape.row(conversation_id=conversation_id, credential_id=credential_id, key=key, sealed=sealed)
    shape.add([row], "ON CONFLICT (conversation_id, credential_id, key) DO UPDATE SET sealed = EXCLUDED.sealed")
    mine = "conversation_id = %s AND credential_id = %s"
    latest = f"SELECT id FROM {shape.table} WHERE {mine} ORDER BY id DESC LIMIT %s"
    whose = [conversation_id, credential_id]
    sql.change(f"DELETE FROM {shape.table} WHERE {mine} AND id NOT IN ({latest})", [*whose, *whose, most])

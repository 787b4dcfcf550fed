"""Fills a gateway's tables by the database's own means: rows as many turns leave them, with random bytes for what is sealed."""

from __future__ import annotations

import json
from typing import Any

_TURNS_PER_CONVERSATION = 50
_ITEMS_PER_TURN = 10
_NUMBERS = {
    "sqlite": "(WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {0}) SELECT n FROM g) AS numbers",
    "postgresql": "(SELECT n FROM generate_series(1, {0}) AS n) AS numbers",
}
_RANDOM = {
    "sqlite": {32: "randomblob(32)", 288: "randomblob(288)"},
    "postgresql": {
        32: "sha256(random()::text::bytea)",
        288: "decode(repeat(md5(random()::text), 18), 'hex')",
    },
}


def fill(snapshots: int) -> None:
    """So many snapshots and exchanges of the only key, ten times as many items, in conversations of fifty turns."""
    from django.db import connection

    from accounts.models import ApiKey, OAuthCredential

    owner = {"api_key_id": str(ApiKey.objects.get().pk), "credential_id": str(OAuthCredential.objects.get().pk)}
    vendor = connection.vendor
    with connection.cursor() as cursor:
        if vendor == "sqlite":
            for pragma in ("cache_size = -1000000", "synchronous = OFF"):
                cursor.execute(f"PRAGMA {pragma}")
        for model, number, given in _tables(snapshots, owner, _RANDOM[vendor]):
            columns = {**_plain(model), **given}
            cursor.execute(
                f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) "
                f"SELECT {', '.join(columns.values())} FROM {_NUMBERS[vendor].format(number)}"
            )
            if vendor == "postgresql":
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), {number})")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)" if vendor == "sqlite" else "VACUUM ANALYZE")


def _tables(snapshots: int, owner: dict[str, str], random: dict[int, str]) -> list[tuple[Any, int, dict[str, str]]]:
    """Each model, how many rows it gets, and what makes its columns from `n`; every other column gets its default."""
    from responses_app.models import Conversation, Exchange, Item, Segment, SegmentEntry, Snapshot

    conversations = max(1, snapshots // _TURNS_PER_CONVERSATION)
    items = snapshots * _ITEMS_PER_TURN
    named = {"provider": "'codex'", **owner}
    within = f"1 + (n - 1) % {conversations}"
    length = f"{_ITEMS_PER_TURN} * (1 + (n - 1) / {conversations})"
    ended = {
        "status": "'completed'",
        "ended_by": "'upstream'",
        "started_at": "CURRENT_TIMESTAMP",
        "deadline_at": "CURRENT_TIMESTAMP",
        "finished_at": "CURRENT_TIMESTAMP",
    }
    of_conversation = {"conversation_id": within}
    marks = {"digest": random[32], "sealed": random[288]}
    return [
        (Conversation, conversations, {"id": "n", **named, "scope_digest": random[32]}),
        (Segment, conversations, {"id": "n", "conversation_id": "n", "length": str(_TURNS_PER_CONVERSATION * _ITEMS_PER_TURN)}),
        (Item, items, {"id": "n", **of_conversation, **marks}),
        (
            SegmentEntry,
            items,
            {
                "id": "n",
                "segment_id": within,
                "position": f"(n - 1) / {conversations}",
                "chain": random[32],
                "item_id": "n",
            },
        ),
        (
            Exchange,
            snapshots,
            {"id": "n", **named, **of_conversation, **ended, "request_id": "'req-' || n", "action": "'create'"},
        ),
        (
            Snapshot,
            snapshots,
            {
                "id": "n",
                **owner,
                **of_conversation,
                "segment_id": within,
                "exchange_id": "n",
                "length": length,
                "chain": random[32],
                "response_id": "'resp_' || n",
                "generation": "0",
                "stored": "true",
            },
        ),
    ]


def _plain(model: Any) -> dict[str, str]:
    """The columns that have to be given, with their defaults, as SQL."""
    from django.db.models import NOT_PROVIDED, AutoField, JSONField

    found = {}
    for column in model._meta.local_concrete_fields:
        if column.null or isinstance(column, AutoField) or column.db_default is not NOT_PROVIDED:
            continue
        found[column.attname] = _literal(column, JSONField)
    return found


def _literal(column: Any, document: type[Any]) -> str:
    if issubclass(type(column), document):
        return f"'{json.dumps(column.get_default())}'"
    kind = column.get_internal_type()
    if kind == "DateTimeField":
        return "CURRENT_TIMESTAMP"
    if kind == "BooleanField":
        return "true" if column.get_default() else "false"
    return str(column.get_default() or 0) if "Integer" in kind else f"'{column.get_default() or ''}'"

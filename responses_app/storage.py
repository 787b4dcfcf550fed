"""How large the tables are and how old what they hold: what can be told without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import connection, models
from django.db.models import Max, Min

from responses_app.models import Conversation, Exchange, Item, Payload, Provenance, SegmentEntry, Snapshot

_TABLES: tuple[tuple[type[models.Model], str], ...] = (
    (Conversation, "created_at"),
    (Snapshot, ""),
    (Item, ""),
    (SegmentEntry, ""),
    (Exchange, "started_at"),
    (Provenance, ""),
    (Payload, "captured_at"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `rows` is estimated or an upper bound; `size` in bytes with indexes, None where that is not known."""

    name: str
    rows: int
    size: int | None
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Storage:
    """The database. In bytes; `free` and `log` are None where the server sees to them."""

    tables: list[Table]
    size: int
    free: int | None
    log: int | None
    gives_back: bool


def standing() -> Storage:
    """As it is now."""
    on_sqlite = connection.vendor == "sqlite"
    tables = [_table(model, column, on_sqlite=on_sqlite) for model, column in _TABLES]
    if not on_sqlite:
        return Storage(tables, _asked("SELECT pg_database_size(current_database())"), None, None, gives_back=True)
    page = _asked("PRAGMA page_size")
    return Storage(
        tables,
        page * _asked("PRAGMA page_count"),
        page * _asked("PRAGMA freelist_count"),
        _log_size(),
        gives_back=_asked("PRAGMA auto_vacuum") == 2,
    )


def _table(model: type[models.Model], column: str, *, on_sqlite: bool) -> Table:
    name = str(model._meta.verbose_name_plural)
    rows = model._default_manager.order_by()
    oldest = rows.aggregate(at=Min(column))["at"] if column else None
    if on_sqlite:
        ends = rows.aggregate(first=Min("pk"), last=Max("pk"))
        count = 0 if ends["last"] is None else ends["last"] - ends["first"] + 1
        return Table(name, count, None, oldest)
    table = model._meta.db_table
    estimate = _asked("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", table)
    return Table(name, estimate, _asked("SELECT pg_total_relation_size(%s::regclass)", table), oldest)


def _log_size() -> int:
    log = Path(f"{connection.settings_dict['NAME']}-wal")
    return log.stat().st_size if log.exists() else 0


def _asked(statement: str, *params: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return int(cursor.fetchone()[0])

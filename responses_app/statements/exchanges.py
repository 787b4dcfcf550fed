"""Exchanges: written by the claim, and again at their end."""

from __future__ import annotations

from floway import sql
from floway.sql import Tells
from responses_app.models import Exchange
from responses_app.statements import snapshots


def add(exchange: Exchange) -> sql.Asked:
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


def end(exchange: Exchange) -> Tells[bool]:
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
    return sql.changed(sql.later(statement, [*(value for _, value in changed), exchange.pk]))


def _add_ended(exchange: Exchange) -> bool:
    """Insert it; False where it has a row already, for the claim or an earlier end was committed and its answer was lost."""
    shape = sql.shape(Exchange)
    key = shape.add_one(shape.values(exchange), "ON CONFLICT (request_id) DO NOTHING")
    if key is not None:
        sql.stored(exchange, key)
        return True
    for (known,) in sql.fetch(f"SELECT id FROM {shape.table} WHERE request_id = %s", [exchange.request_id]):
        sql.stored(exchange, known)
        snapshots.release(known)
    return False


def note_delivery(exchange: Exchange) -> None:
    """Write who ended it."""
    table = sql.shape(Exchange).table
    sql.later(f"UPDATE {table} SET ended_by = %s WHERE id = %s", [exchange.ended_by, exchange.pk])

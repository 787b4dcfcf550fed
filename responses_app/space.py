"""Gives the space that deleted rows leave back to the file system, where the database does not see to it itself."""

from __future__ import annotations

from django.db import connection

from responses_app.pacing import Pace

_PAGES_AT_ONCE = 200
_KEPT_SHARE = 20
"""A twentieth of the file stays free for what is written next."""


def give_back(pace: Pace) -> int:
    """Shrink SQLite's file, some pages at a time; returns how many pages. A file that was not made for it stays as it is."""
    if connection.vendor != "sqlite" or _pragma("auto_vacuum") != 2:
        return 0
    given = 0
    while not pace.is_over and (free := _spare()) > 0:
        with pace.stroke():
            _vacuum(min(free, _PAGES_AT_ONCE))
        given += min(free, _PAGES_AT_ONCE)
    return given


def _spare() -> int:
    return _pragma("freelist_count") - max(_pragma("page_count") // _KEPT_SHARE, _PAGES_AT_ONCE)


def _vacuum(pages: int) -> None:
    """SQLite frees one page each time that a row of the statement's is asked for."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA incremental_vacuum({pages:d})")
        cursor.fetchall()


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])

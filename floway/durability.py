"""Commits that must survive a power loss, and writes that may not wait long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def durable_commits() -> Iterator[None]:
    """Transactions committed inside are on disk when they return; PostgreSQL's are anyway."""
    if connection.vendor == "sqlite":
        with connection.durable_commits():  # type: ignore[attr-defined] # our backend's own
            yield
    else:
        yield


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Write transactions begun inside wait no longer than this for SQLite's lock; PostgreSQL's pool keeps its own time."""
    if connection.vendor != "sqlite":
        yield
        return
    usual = connection.write_timeout  # type: ignore[attr-defined] # our backend's own
    connection.write_timeout = seconds  # type: ignore[attr-defined] # as above
    try:
        yield
    finally:
        connection.write_timeout = usual  # type: ignore[attr-defined] # as above

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
    """Work begun inside waits no longer than this for SQLite's write lock, or for a connection of PostgreSQL's pool."""
    name = "write_timeout" if connection.vendor == "sqlite" else "checkout_timeout"
    usual = getattr(connection, name)
    setattr(connection, name, seconds)
    try:
        yield
    finally:
        setattr(connection, name, usual)

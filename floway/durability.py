"""Commits that must survive a power loss, and writes that may not wait long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections

_LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's."""


@contextmanager
def durable_commits() -> Iterator[None]:
    """Transactions committed inside are on disk when they return; PostgreSQL's are anyway."""
    if connection.vendor == "sqlite":
        with connection.durable_commits():  # type: ignore[attr-defined] # our backend's own
            yield
    else:
        yield


def is_held_up(error: Error) -> bool:
    """Was it another transaction that did not let go in time of what this one wanted? The database itself is well."""
    return getattr(error.__cause__, "sqlstate", None) == _LOCK_NOT_AVAILABLE


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Work begun inside waits no longer than this for SQLite's write lock, or for a connection of PostgreSQL's pool."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    name = "write_timeout" if wrapper.vendor == "sqlite" else "checkout_timeout"
    usual = getattr(wrapper, name)
    setattr(wrapper, name, seconds)
    try:
        yield
    finally:
        setattr(wrapper, name, usual)

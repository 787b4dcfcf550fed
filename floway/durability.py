"""Commits that must survive a power loss."""

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

"""What was read of keys and logins, kept for as long as nothing about them changes, in whatever process it is changed.

The database itself changes the mark whenever it changes a row that tells who may call and with what; the mark is read with each
request, before anything that was kept is used, and now and then besides. Whoever changes what was kept works on a copy, see
`floway.sql.copied`. Secrets are kept as they were read, sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, MutableMapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection

from accounts import statements

_MOST_KEPT = 10_000
_Answer = TypeVar("_Answer")


class _Edition:
    """What was read under one mark, and when the uses were noted that change no mark."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.noted: dict[Hashable, datetime] = {}
        self.kept: dict[Hashable, Any] = {}


class _Latest:
    edition = _Edition("")


def current() -> str | None:
    """The mark that stands; what was kept under another is gone. None where nothing may be kept.

    Inside a transaction rows may stand that no mark tells of yet.
    """
    if connection.in_atomic_block:
        return None
    mark = statements.mark()
    if mark is not None and mark != _Latest.edition.mark:
        _Latest.edition = _Edition(mark)
    return mark


def answer(mark: str | None, question: Hashable, ask: Callable[[], _Answer]) -> _Answer:
    """What `ask` gives: asked once for as long as this mark stands, unless it is None."""
    edition = _Latest.edition
    if mark != edition.mark:
        return ask()
    known: _Answer | None = edition.kept.get(question)
    if known is None:
        known = ask()
        if len(edition.kept) >= _MOST_KEPT:
            edition.kept.clear()
        if known is not None:
            edition.kept[question] = known
    return known


def noted(mark: str | None) -> MutableMapping[Hashable, datetime]:
    """When uses were noted for as long as this mark stands."""
    edition = _Latest.edition
    return edition.noted if mark == edition.mark else {}

"""What was read of keys and logins, kept for as long as nothing about them changes, in whatever process it is changed.

The database itself changes the mark whenever it changes a row that tells who may call and with what; the mark is read with each
request, before anything that was kept is used. Whoever changes what was kept works on a copy, see `floway.sql.copied`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection

from accounts import statements

_MOST_KEPT = 10_000
_Answer = TypeVar("_Answer")


class Edition:
    """What was read under one mark, and when the uses were noted that change no mark."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.noted: dict[Hashable, datetime] = {}
        self._kept: dict[Hashable, Any] = {}

    def answer(self, question: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """What `ask` gives: asked once, unless it is nothing."""
        known: _Answer | None = self._kept.get(question)
        if known is None:
            known = ask()
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            if known:
                self._kept[question] = known
        return known


class _Latest:
    edition = Edition("")


def current() -> Edition | None:
    """What is kept under the mark that stands; None where nothing may be kept.

    Inside a transaction rows may stand that no mark tells of yet.
    """
    if connection.in_atomic_block:
        return None
    mark = statements.mark()
    if mark is None:
        return None
    edition = _Latest.edition
    if edition.mark != mark:
        edition = _Latest.edition = Edition(mark)
    return edition


def answer(edition: Edition | None, question: Hashable, ask: Callable[[], _Answer]) -> _Answer:
    """The same, where there may be no edition to keep it in."""
    return ask() if edition is None else edition.answer(question, ask)

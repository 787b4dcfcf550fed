"""How fast the house may be cleared: in short strokes, each followed by a rest, so that turns come first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

_RESTS_PER_STROKE = 2
"""A third of the time is the most that clearing takes of the database."""
_SHORTEST_REST = 0.005


class Pace:
    """Strokes until `seconds` are over, None for as long as it takes. `longest` is the longest stroke so far, in seconds."""

    def __init__(self, seconds: float | None, *, now: Callable[[], float] = time.monotonic, rests: bool = True) -> None:
        self._now = now
        self._until = None if seconds is None else now() + seconds
        self._rests = rests
        self.longest = 0.0
        self.strokes = 0

    @property
    def is_over(self) -> bool:
        """No more strokes?"""
        return self._until is not None and self._now() >= self._until

    @contextmanager
    def stroke(self) -> Iterator[None]:
        """One transaction, then a rest in proportion."""
        began = self._now()
        with transaction.atomic():
            yield
        took = self._now() - began
        self.longest, self.strokes = max(self.longest, took), self.strokes + 1
        if self._rests:
            time.sleep(max(_SHORTEST_REST, took * _RESTS_PER_STROKE))

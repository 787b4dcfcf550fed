"""How many requests a process serves at once, and how many may wait for their turn to be."""

from __future__ import annotations

import secrets

from gevent.lock import Semaphore

from floway.wire.errors import ApiError, Unavailable

WAIT_SECONDS = 10.0
"""The longest that a request waits; a caller that waits longer is better told to come again."""


def busy() -> ApiError:
    """What is told to whoever does not get in: 503, and when to come again. Spread, or all would come again at once."""
    return Unavailable("Too many requests at once.", code="slow_down", retry_after=1 + secrets.randbelow(5))


class Gate:
    """Lets `most` in at once, and `waiting` more wait outside.

    :param seconds: how long each may wait.
    """

    def __init__(self, most: int, waiting: int, seconds: float = WAIT_SECONDS) -> None:
        self._free = Semaphore(most)
        self._places = waiting
        self._seconds = seconds

    def enter(self) -> bool:
        """Come in, at once or when somebody leaves; False where there is no place even to wait, or nobody left in time."""
        if self._free.acquire(blocking=False):
            return True
        if self._places <= 0:
            return False
        self._places -= 1
        try:
            return bool(self._free.acquire(timeout=self._seconds))
        finally:
            self._places += 1

    @property
    def is_full(self) -> bool:
        """Would the next one have to wait?"""
        return bool(self._free.locked())

    def leave(self) -> None:
        """Make room; once for each that came in."""
        self._free.release()


class Place:
    """A request's place behind the gate: taken while it is served, given back in between where it has nothing to serve."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._is_taken = False
        self.was_waited_for = False

    def take(self) -> bool:
        """As `Gate.enter`; does nothing where it is taken already."""
        if not self._is_taken:
            self.was_waited_for = self._gate.is_full
            self._is_taken = self._gate.enter()
        return self._is_taken

    def give_back(self) -> None:
        """As `Gate.leave`; does nothing where there is none to give back."""
        if self._is_taken:
            self._is_taken = False
            self._gate.leave()

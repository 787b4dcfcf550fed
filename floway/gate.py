"""How many requests a process serves at once, and how many may wait for their turn to be."""

from __future__ import annotations

from gevent.lock import Semaphore

WAIT_SECONDS = 10.0
"""The longest that a request waits; a caller that waits longer is better told to come again."""


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

    def leave(self) -> None:
        """Make room; once for each that came in."""
        self._free.release()

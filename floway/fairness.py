"""Whoever never has to wait for anything lets others have their turn all the same.

Greenlets take turns where they wait. One whose caller sends its requests without waiting for answers, or whose upstream and
caller are both quicker than this process, waits for nothing: everybody else would stand still for as long as it goes on.
"""

from __future__ import annotations

import time

import gevent

_STINT_SECONDS = 0.005
_MOMENT_SECONDS = 1e-6
"""However short, it is a wait: the loop looks at what everybody else waits for. After `sleep(0)` it need not."""


class Stint:
    """How long one greenlet has been at work without waiting."""

    __slots__ = ("_loop", "_round", "_until")

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self._round: int | None = None
        self._until = 0.0

    def look(self) -> None:
        """Wait a moment, if it has been at work for so long."""
        if self._loop.iteration == self._round:
            if time.monotonic() < self._until:
                return
            gevent.sleep(_MOMENT_SECONDS)
        self._round, self._until = self._loop.iteration, time.monotonic() + _STINT_SECONDS

"""How many sockets there may be, and who they are: the process's own count."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

from floway.wire.errors import ApiError


class TooMany(ApiError):
    """426: no further socket. A caller does the same over plain HTTP; the official clients do so at once."""

    status = 426
    type = "invalid_request_error"
    default_code = "too_many_websockets"


class House:
    """The sockets of a process."""

    def __init__(self) -> None:
        self._per_key: Counter[int] = Counter()
        self._leave: set[Callable[[], None]] = set()
        self._closing = False
        self._lock = threading.Lock()

    def admit(self, key_id: int) -> None:
        """Count one more.

        :raises TooMany: there is no room.
        """
        with self._lock:
            full = self._per_key.total() >= settings.FLOWAY_WEBSOCKETS
            if self._closing or full or self._per_key[key_id] >= settings.FLOWAY_WEBSOCKETS_PER_KEY:
                raise TooMany("There are too many open WebSockets; use POST.")
            self._per_key[key_id] += 1

    def dismiss(self, key_id: int) -> None:
        """Count one less."""
        with self._lock:
            self._per_key[key_id] -= 1
            if not self._per_key[key_id]:
                del self._per_key[key_id]

    @contextmanager
    def lodging(self, leave: Callable[[], None]) -> Iterator[None]:
        """Inside, `leave` is called when the process is to end: at once where it is ending already."""
        with self._lock:
            self._leave.add(leave)
            closing = self._closing
        try:
            if closing:
                leave()
            yield
        finally:
            with self._lock:
                self._leave.discard(leave)

    def close(self) -> None:
        """Nobody else comes in, and everybody leaves as soon as their turn is over."""
        with self._lock:
            self._closing = True
            everybody = list(self._leave)
        for leave in everybody:
            leave()


HOUSE = House()
"""The process's."""

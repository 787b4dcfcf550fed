"""What a connection remembers of turns that are not to be stored: in this process's memory alone, and within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict

from django.conf import settings

from floway.wire.json import JSON, dumps, loads

_MOST_RESPONSES = 8
_SHARE = 8


class Budget:
    """Bytes that all connections of the process remember together; one of them at most an eighth of what they may."""

    def __init__(self) -> None:
        self._used = 0
        self._lock = threading.Lock()

    @property
    def share(self) -> int:
        """What one connection may have."""
        return int(settings.FLOWAY_WEBSOCKET_MEMORY_BYTES) // _SHARE

    def take(self, size: int) -> bool:
        """Is there room? Then it is taken."""
        with self._lock:
            if self._used + size > settings.FLOWAY_WEBSOCKET_MEMORY_BYTES:
                return False
            self._used += size
            return True

    def give(self, size: int) -> None:
        """No longer used."""
        with self._lock:
            self._used -= size


BUDGET = Budget()
"""The process's."""


class Memory:
    """Of one connection: a response's id → the items that its conversation consists of. The oldest are forgotten first.

    What does not fit is not kept, and its caller is told that the response is not found: it sends everything anew.
    """

    def __init__(self, budget: Budget = BUDGET) -> None:
        self._budget = budget
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def keep(self, response_id: str, items: list[JSON]) -> None:
        """Remember, in the place of what was known of it."""
        self.forget(response_id)
        packed = dumps(items)
        while self._kept and (len(self._kept) >= _MOST_RESPONSES or self._size + len(packed) > self._budget.share):
            self.forget(next(iter(self._kept)))
        if self._size + len(packed) <= self._budget.share and self._budget.take(len(packed)):
            self._kept[response_id] = packed
            self._size += len(packed)

    def recall(self, response_id: str) -> list[JSON] | None:
        """The items, or None where nothing is known of the response."""
        packed = self._kept.get(response_id)
        if packed is None:
            return None
        items: list[JSON] = loads(packed)
        return items

    def forget(self, response_id: str) -> None:
        """It cannot be continued any more."""
        packed = self._kept.pop(response_id, None)
        if packed is not None:
            self._size -= len(packed)
            self._budget.give(len(packed))

    def clear(self) -> None:
        """Forget everything."""
        for response_id in list(self._kept):
            self.forget(response_id)

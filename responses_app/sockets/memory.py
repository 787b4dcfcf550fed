"""What a connection remembers of turns that are not to be stored: in this process's memory alone, and within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace

from django.conf import settings

from floway.wire.json import JSON, dumps, loads
from responses_app.acceptance import Remembered

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
    """Of one connection: a response's id → what is to be known of it to go on. The oldest are forgotten first.

    What does not fit is not kept, and its caller is told that the response is not found: it sends everything anew.
    """

    def __init__(self, budget: Budget = BUDGET) -> None:
        self._budget = budget
        self._kept: OrderedDict[str, tuple[Remembered, bytes]] = OrderedDict()
        self._size = 0

    def keep(self, response_id: str, remembered: Remembered) -> None:
        """Remember, in the place of what was known of it."""
        self.forget(response_id)
        packed = dumps(remembered.items)
        while self._kept and (len(self._kept) >= _MOST_RESPONSES or self._size + len(packed) > self._budget.share):
            self.forget(next(iter(self._kept)))
        if self._size + len(packed) <= self._budget.share and self._budget.take(len(packed)):
            self._kept[response_id] = replace(remembered, items=[]), packed
            self._size += len(packed)

    def recall(self, response_id: str) -> Remembered | None:
        """What was kept, or None where nothing is known of the response."""
        if response_id not in self._kept:
            return None
        remembered, packed = self._kept[response_id]
        return replace(remembered, items=loads(packed))

    def at_hand(self, ids: Collection[str]) -> dict[str, JSON]:
        """Those of the items of these ids that are kept and stored nowhere, by their ids."""
        found: dict[str, JSON] = {}
        for remembered, packed in reversed(self._kept.values()):
            if found.keys() >= set(ids):
                break
            own = loads(packed)[remembered.length if remembered.stored else 0 :]
            found = {item["id"]: item for item in own if isinstance(item, dict) and item.get("id") in ids} | found
        return found

    def forget(self, response_id: str) -> None:
        """It cannot be continued any more."""
        kept = self._kept.pop(response_id, None)
        if kept is not None:
            size = len(kept[1])
            self._size -= size
            self._budget.give(size)

    def clear(self) -> None:
        """Forget everything."""
        for response_id in list(self._kept):
            self.forget(response_id)

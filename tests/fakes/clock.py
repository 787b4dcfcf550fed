"""A clock that moves only when told."""

from __future__ import annotations

from datetime import UTC, datetime


class ScriptedClock:
    """See the module. `time`: seconds, of both its faces."""

    def __init__(self, time: float = 0.0) -> None:
        self.time = time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

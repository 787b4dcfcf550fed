"""From an upstream's bytes to a caller's: as they arrive, whole frames only, and never without an end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from floway.providers.contract import UpstreamCut, UpstreamResponse
from floway.wire.fold import Relay
from floway.wire.sse import InvalidFrame
from responses_app.clock import Clock
from responses_app.models import Exchange

log = logging.getLogger(__name__)

KEEP_ALIVE = b": keep-alive\n\n"
EndedBy = Exchange.EndedBy


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds between comments while the upstream is silent, and of silence before giving up."""

    keep_alive: float
    idle: float


@dataclass(slots=True)
class Ending:
    """How a stream ended; `detail` is for the operator."""

    by: EndedBy = EndedBy.UPSTREAM
    detail: str = ""


class Stream:
    """Relays one upstream answer.

    :param gone: has the caller left?
    """

    def __init__(
        self,
        upstream: UpstreamResponse,
        relay: Relay,
        *,
        limits: Limits,
        clock: Clock,
        deadline: float,
        gone: Callable[[], bool],
    ) -> None:
        self.upstream = upstream
        self.relay = relay
        self.ending = Ending()
        self._limits = limits
        self._clock = clock
        self._deadline = deadline
        self._gone = gone
        self._heard_at = 0.0

    def pieces(self) -> Iterator[bytes]:
        """What to write to the caller until the terminal event, which stays with the relay.

        Comments keep the caller's side awake whenever nothing was written for a while, whatever the upstream says meanwhile.
        """
        self._heard_at = written_at = self._clock.monotonic()
        while self.relay.terminal is None:
            now = self._clock.monotonic()
            if now >= min(self._deadline, self._heard_at + self._limits.idle):
                late = now >= self._deadline
                self.ending = Ending(EndedBy.DEADLINE if late else EndedBy.IDLE, "no terminal event in time")
                return
            if now >= written_at + self._limits.keep_alive:
                written_at = now
                yield KEEP_ALIVE
                continue
            until = min(written_at + self._limits.keep_alive, self._deadline, self._heard_at + self._limits.idle)
            out = self._next(until - now)
            if out is None:
                return
            if out:
                written_at = self._clock.monotonic()
                yield out

    def _next(self, wait: float) -> bytes | None:
        """What came within `wait` seconds, as the caller gets it; None at the end."""
        try:
            data = self.upstream.read(wait)
            if data:
                self._heard_at = self._clock.monotonic()
                return self.relay.feed(data)
            self.ending = self._cut("the upstream closed without a terminal event")
        except TimeoutError:
            return b""
        except UpstreamCut as cut:
            self.ending = self._cut(str(cut))
        except InvalidFrame as error:
            self.ending = Ending(EndedBy.UPSTREAM_CUT, f"unreadable event: {error}")
        return None

    def _cut(self, detail: str) -> Ending:
        return Ending(EndedBy.CALLER) if self._gone() else Ending(EndedBy.UPSTREAM_CUT, detail)

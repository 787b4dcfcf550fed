"""From an upstream's bytes to a caller's: as they arrive, whole frames only, and never without an end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from floway.providers.contract import UpstreamCut
from floway.wire.sse import InvalidFrame
from responses_app.clock import Clock
from responses_app.holding import HeldBack, raise_closed
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
    :ivar output_at: when the first of the output was there to be written, on the clock's monotonic time.
    """

    def __init__(self, held_back: HeldBack, *, limits: Limits, clock: Clock, deadline: float, gone: Callable[[], bool]) -> None:
        self.relay = held_back.relay
        self.ending = Ending()
        self.output_at: float | None = None
        self._held_back = held_back
        self._limits = limits
        self._clock = clock
        self._deadline = deadline
        self._gone = gone

    def pieces(self) -> Iterator[bytes]:
        """What to write to the caller until the terminal event, which stays with the relay.

        Comments keep the caller's side awake whenever nothing was written for a while, whatever the upstream says meanwhile.
        An upstream is silent only while it is listened to, so not while the caller takes its time.
        With the terminal event it is let go of.
        """
        relay, read, monotonic = self.relay, self._held_back.upstream.read, self._clock.monotonic
        if self._held_back.held:
            self._note_output()
            yield self._held_back.take()
        now = written_at = heard_at = monotonic()
        try:
            self._held_back.raise_end()
            while relay.terminal is None:
                given_up_at = min(heard_at + self._limits.idle, self._deadline)
                if now >= given_up_at:
                    by = EndedBy.DEADLINE if now >= self._deadline else EndedBy.IDLE
                    self.ending = Ending(by, "no terminal event in time")
                    return
                awake_at = written_at + self._limits.keep_alive
                if now >= awake_at:
                    yield KEEP_ALIVE
                    now = written_at = monotonic()
                    continue
                try:
                    data = read(min(awake_at, given_up_at) - now)
                except TimeoutError:
                    now = monotonic()
                    continue
                if not data:
                    raise_closed()
                if out := relay.feed(data):
                    if self.output_at is None:
                        self._note_output()
                    yield out
                    now = heard_at = written_at = monotonic()
                else:
                    now = heard_at = monotonic()
            self._held_back.upstream.close(heard_out=True)
        except UpstreamCut as cut:
            self.ending = Ending(EndedBy.CALLER) if self._gone() else Ending(EndedBy.UPSTREAM_CUT, str(cut))
        except InvalidFrame as error:
            self.ending = Ending(EndedBy.UPSTREAM_CUT, f"unreadable event: {error}")

    def _note_output(self) -> None:
        if self.relay.has_output:
            self.output_at = self._clock.monotonic()

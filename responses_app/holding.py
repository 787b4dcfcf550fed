"""Holding back the beginning of an answer until it is one: an upstream may accept a turn with 200 and refuse it in the stream.

Only what a handshake consists of is held, up to a bound in bytes and in time; then, or with the first event that is more,
everything goes on as it came.
"""

from __future__ import annotations

from typing import NoReturn

from floway.providers.contract import UpstreamCut, UpstreamResponse
from floway.wire.fold import Relay
from floway.wire.json import JSON
from floway.wire.sse import InvalidFrame
from responses_app.clock import Clock

_MOST_BYTES = 64 * 1024


class HeldBack:
    """An answer of whose body something was read, and put through its relay, already.

    :ivar held: what its caller gets for that, until it is taken.
    """

    def __init__(self, upstream: UpstreamResponse, relay: Relay) -> None:
        self.upstream = upstream
        self.relay = relay
        self.held = b""
        self._end: UpstreamCut | InvalidFrame | None = None

    @property
    def error(self) -> JSON | None:
        """The error object of the failure with which the answer began, None where it began otherwise."""
        terminal = self.relay.terminal
        return None if terminal is None or self.relay.has_output else terminal.error

    @property
    def cut(self) -> UpstreamCut | None:
        """How the answer broke off before it was one, None where it did not."""
        return self._end if isinstance(self._end, UpstreamCut) else None

    def take(self) -> bytes:
        """What was held; it is kept no longer."""
        held, self.held = self.held, b""
        return held

    def raise_end(self) -> None:
        """:raises UpstreamCut, InvalidFrame: what was read already came to this end."""
        if self._end is not None:
            raise self._end

    def look(self, clock: Clock, seconds: float) -> None:
        """Read on while there is nothing but a handshake, for `seconds` at most."""
        relay, until, size = self.relay, clock.monotonic() + seconds, 0
        while not relay.has_output and relay.terminal is None and size <= _MOST_BYTES:
            wait = until - clock.monotonic()
            if wait <= 0:
                return
            try:
                data = self.upstream.read(wait)
                if not data:
                    raise_closed()
                self.held += relay.feed(data)
            except TimeoutError:
                return
            except (UpstreamCut, InvalidFrame) as end:
                self._end = end
                return
            size += len(data)


def raise_closed() -> NoReturn:
    """:raises UpstreamCut: the body ended where more was due."""
    raise UpstreamCut("the upstream closed without a terminal event")

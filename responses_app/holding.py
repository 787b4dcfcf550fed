"""Holding back the beginning of an answer until it is one: an upstream may accept a turn with 200 and refuse it in the stream.

Only what a handshake consists of is held, up to a bound in bytes and in time; then, or with the first event that is more,
everything goes on as it came.
"""

from __future__ import annotations

from collections import deque

from floway.providers.contract import UpstreamCut, UpstreamResponse
from floway.wire import events
from floway.wire.json import JSON
from floway.wire.sse import Frame, FrameDecoder, InvalidFrame
from responses_app.clock import Clock

_MOST_BYTES = 64 * 1024


class HeldBack:
    """An answer of whose body something was read already; reads like one of which nothing was. See `UpstreamResponse`.

    :param error: the error object of the failure with which the answer began, None where it began otherwise.
    :param cut: how the answer broke off before it was one, None where it did not.
    """

    def __init__(self, upstream: UpstreamResponse) -> None:
        self.status = upstream.status
        self.headers = upstream.headers
        self._upstream = upstream
        self._held: deque[bytes] = deque()
        self.error: JSON | None = None
        self.cut: UpstreamCut | None = None

    def read(self, timeout: float) -> bytes:
        """See UpstreamResponse."""
        if self._held:
            return self._held.popleft()
        if self.cut is not None:
            raise self.cut
        return self._upstream.read(timeout)

    def read_all(self, limit: int, timeout: float) -> bytes:
        """See UpstreamResponse."""
        return b"".join(self._held)[:limit] or self._upstream.read_all(limit, timeout)

    def close(self) -> None:
        """See UpstreamResponse."""
        self._upstream.close()

    def look(self, clock: Clock, seconds: float) -> None:
        """Read on while there is nothing but a handshake, for `seconds` at most."""
        until, decoder, size = clock.monotonic() + seconds, FrameDecoder(), 0
        while size <= _MOST_BYTES and (wait := until - clock.monotonic()) > 0:
            try:
                data = self._upstream.read(wait)
            except TimeoutError:
                return
            except UpstreamCut as cut:
                self.cut = cut
                return
            if not data:
                self.cut = UpstreamCut("the upstream closed without a terminal event")
                return
            self._held.append(data)
            size += len(data)
            if self._is_more_than_a_handshake(decoder, data):
                return

    def _is_more_than_a_handshake(self, decoder: FrameDecoder, data: bytes) -> bool:
        """One frame after the other: all that follows the first that tells is parsed when it is relayed."""
        position = 0
        try:
            while end := data.find(b"\n\n", position) + 1:
                if any(map(self._tells, decoder.feed(data[position : end + 1]))):
                    return True
                position = end + 1
            return any(map(self._tells, decoder.feed(data[position:])))
        except InvalidFrame:
            return True

    def _tells(self, frame: Frame) -> bool:
        event = events.event_type(frame)
        if event is None or not frame.data or not events.is_public(event) or event in events.OPENING:
            return False
        if event in {events.FAILED, events.ERROR}:
            self.error = _error_of(event, frame)
        return True


def _error_of(event: str, frame: Frame) -> JSON:
    payload = events.payload_of(frame)
    if event == events.FAILED:
        response = payload.get("response")
        return response.get("error") if isinstance(response, dict) else None
    inner = payload.get("error")
    return inner if isinstance(inner, dict) else payload

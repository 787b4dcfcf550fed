"""How slowly a caller may send: the reader of a connection, with a bound on every wait.

A request's head must be there some seconds after its first byte. Its body may keep the reader waiting for as long, and for a
second more with every 16 KiB that come: whoever sends a byte a second is given up soon, an honest slow line is not. Only time
spent waiting for the caller counts.
"""

from __future__ import annotations

import time
from typing import Any

from gunicorn.http.unreader import SocketUnreader

from floway.fairness import Stint
from floway.wire.errors import CallerError

LEAST_BYTES_A_SECOND = 16 * 1024
_AT_ONCE = 0.001


class TooSlow(CallerError):
    """408: the request did not arrive in time."""

    status = 408
    default_code = "request_timeout"
    permanent = False


class Pace(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """Reads one connection, for gunicorn's parser.

    :param idle: where the connection is noted, by its descriptor, while nothing of a next request has come, with the time
        (monotonic) until which that may be so. Whoever keeps it lets the overdue go: no timer is wound up for each request.
    :param seconds: for a head, and again for a body.
    :ivar stint: how long the connection has been at work without waiting.
    """

    def __init__(self, sock: Any, idle: dict[int, tuple[float, Any]], seconds: float) -> None:
        super().__init__(sock)
        self.stint = Stint()
        self._seconds = seconds
        self._idle = idle
        self._request: Any = None
        self._patience: float | None = None
        self._left = 0.0

    def next_request(self, patience: float) -> None:
        """The last request is over. :param patience: seconds until the first byte of the next one."""
        self._request, self._patience, self._left = None, patience, self._seconds
        if self.buf.tell():
            self._patience = None  # it has come already, in one piece with the last

    def next_body(self, request: Any) -> None:
        """The head has come; what follows is the body."""
        self._request, self._left = request, self._seconds

    def chunk(self, size_hint: int | None = None) -> bytes:
        """What has come, at least a byte; nothing at the connection's end.

        :raises TooSlow: it did not come in time.
        """
        size = min(max(size_hint or 0, self.mxchunk), self.max_body_chunk)
        if self._patience is not None:
            return self._first(size)
        began = time.monotonic()
        self.sock.settimeout(max(self._left, _AT_ONCE))  # gevent winds up a timer only where there is nothing to read yet
        try:
            data: bytes = self.sock.recv(size)
        except TimeoutError:
            if self._request is not None:
                self._request.force_close()
            raise TooSlow("The request did not arrive in time.") from None
        finally:
            self.sock.settimeout(None)
        self._left -= time.monotonic() - began
        if self._request is not None:
            self._left += len(data) / LEAST_BYTES_A_SECOND
        self.stint.look()
        return data

    def some(self, most: int) -> bytes:
        """What is there of the next `most` bytes, or comes first of them; nothing at the connection's end.

        :raises TooSlow: it did not come in time.
        """
        data = self.take_buffered() if self.buf.tell() else self.chunk(most)
        if len(data) > most:
            self.unread(data[most:])
        return data[:most]

    def _first(self, size: int) -> bytes:
        patience, self._patience = self._patience, None
        number = self.sock.fileno()
        self._idle[number] = time.monotonic() + (patience or 0), self.sock
        try:
            data: bytes = self.sock.recv(size)
        finally:
            self._idle.pop(number, None)
        return data

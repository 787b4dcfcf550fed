"""The process that serves: gunicorn's gevent worker, with bounds on what callers may take and an end that loses nothing.

What a caller may make it wait for is bounded (`floway.pace`), as is how many requests are served at once (`floway.gate`).
Told to end, it first says so on `/readyz` and goes on for a while; then it takes what has arrived, closes the door, and lets
what is under way end. An open connection is closed only once nothing has arrived on it, so that no request is lost.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import signal
import socket
import time
from http import HTTPStatus
from itertools import count
from types import FrameType
from typing import Any

import gevent
import orjson
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from floway import gate, settings
from floway.arrival import Arrival
from floway.fairness import Stint
from floway.leaving import STALL_SECONDS, has_left
from floway.pace import Pace, TooSlow
from floway.wire.errors import ApiError, InvalidRequest, ServiceError

log = logging.getLogger(__name__)

_TURN_SECONDS = 0.2
"""How often the main loop looks around."""
_BEHIND_SECONDS = 3
"""So long a round of the loop may take before new requests are turned away."""
_ARRIVAL_SECONDS = 2
_RESERVE = 0.1
"""The share of connections below which idle ones make room for new ones."""
_LINGER_SECONDS = 2
_DROPPED_BYTES, _MOST_DROPPED = 64 * 1024, 256
_ALWAYS = ("/healthz", "/readyz", "/admin", "/static")
"""Served, with all beneath them, however busy it is: whoever looks after the gateway must get in."""
_GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT}
_MISFRAMED: dict[type[Exception], int] = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
    errors.UnsupportedTransferCoding: 501,
}


class BoundedWorker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """See the module."""

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: dict[int, tuple[float, Any]] = {}
        """Connections on which nothing of a next request has come, the longest idle first."""
        self._told = Event()
        self._looked_at = 0.0
        self._is_closing = False
        self._is_hurried = False
        self._interrupted = False

    # --- its life ---

    def run(self) -> None:
        """Serve until told to end."""
        self._pool = Pool(self.worker_connections)
        self._gate = gate.Gate(settings.FLOWAY_MAX_STREAMS, settings.FLOWAY_MAX_QUEUE)
        self._looked_at = time.monotonic()
        gevent.spawn(self._look)
        servers = [self._listen(sock) for sock in self.sockets]
        while self.alive:
            self._turn(1)
        self._tell()
        self._go_on(settings.FLOWAY_DRAIN_SECONDS, while_=lambda: True)
        self._close(servers)
        self._go_on(self.cfg.graceful_timeout, while_=lambda: len(self._pool) > 0)

    def _listen(self, sock: Any) -> Any:
        sock.setblocking(1)
        name = sock.getsockname()  # while it can still be asked: who comes in last is served after the door is closed
        server = StreamServer(sock, handle=lambda client, addr: self.handle(name, client, addr), spawn=self._pool)
        if self.cfg.workers > 1:
            server.max_accept = 1
        server.start()
        return server

    def _look(self) -> None:
        """Note that everybody has had a turn, and let go of who has been idle for too long."""
        while True:
            self._looked_at = now = time.monotonic()
            for overdue in [client for until, client in self._idle.values() if until < now]:
                _hear_no_more(overdue)
            gevent.sleep(_TURN_SECONDS)

    @property
    def _is_behind(self) -> bool:
        """Is there more to do than can be done soon? Then another request would only make all of them late."""
        return time.monotonic() - self._looked_at > _BEHIND_SECONDS

    def _turn(self, seconds: float) -> None:
        self.notify()
        self._told.wait(seconds)

    def _go_on(self, seconds: float, while_: Any) -> None:
        until = time.monotonic() + seconds
        while not self._is_hurried and while_() and (left := until - time.monotonic()) > 0:
            self.notify()
            gevent.sleep(min(_TURN_SECONDS, left))

    def _tell(self) -> None:
        """Say to load balancers and to the operator that this process takes no more."""
        from floway import health
        from responses_app import fleet

        health.turn_away()
        if not self._is_hurried:
            gevent.spawn(fleet.drain)

    def _close(self, servers: list[Any]) -> None:
        """Take what has arrived at the door, and close it; then the connections on which nothing has."""
        from responses_app.sockets.house import HOUSE

        for server in servers:
            while not self._is_hurried and (arrived := server.do_read()):
                server.do_handle(*arrived)
            server.close()
        HOUSE.close()
        # Who has only just come in has a request on its way.
        self._go_on(_ARRIVAL_SECONDS, while_=lambda: len(self._pool) > 0)
        self._is_closing = True
        for _, client in list(self._idle.values()):
            _hear_no_more(client)

    # --- signals ---

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: drain."""
        self.alive = False
        self._told.set()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGQUIT and SIGINT: end now, without waiting for anybody; the second SIGINT: at once."""
        if sig == signal.SIGINT and self._interrupted:
            os._exit(1)
        self._interrupted = self._interrupted or sig == signal.SIGINT
        self._is_hurried, self.alive = True, False
        self._told.set()

    # --- connections ---

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection, request after request. :param listener: the address that it came to."""
        if self._pool.free_count() < self.worker_connections * _RESERVE:
            self._shed()
        request: Any = None
        pace = Pace(client, self._idle, settings.FLOWAY_REQUEST_SECONDS)
        try:
            for number in count(1):
                pace.next_request(self._patience(client, first=number == 1))
                request = None
                request = Arrival(self.cfg, pace, addr, number)
                pace.next_body(request)
                self._serve(listener, request, client, addr)
                if request.should_close():
                    break
                # Before its end has come, nothing that comes is a next request, however late it is.
                if request.has_rest and not _has_drained(request):
                    break
                pace.stint.look()
        except (StopIteration, errors.NoMoreData):
            pass
        except TooSlow as late:
            self._say(client, late)
            request = None
        except OSError as error:
            if error.errno not in _GONE:
                log.exception("a connection failed")
        except Exception as error:  # noqa: BLE001 - it is logged there
            self.handle_error(request, client, addr, error)
            request = None
        finally:
            if request is not None and request.has_rest:
                _linger(client)
            _close(client)

    def _patience(self, client: Any, *, first: bool) -> float:
        """How long the next request may take to begin. While the door closes, only what is on its way is waited for."""
        if not self._is_closing:
            return float(self.cfg.keepalive)
        if not first:
            _hear_no_more(client)
        return 1.0

    def _shed(self) -> None:
        for _, client in self._idle.values():
            _hear_no_more(client)
            return

    # --- requests ---

    def _serve(self, listener_name: Any, req: Any, client: Any, addr: Any) -> None:
        """Serve one request, once there is room for it."""
        if _is_served_always(req.path):
            self.handle_request(listener_name, req, client, addr)
            return
        req.place = place = gate.Place(self._gate)
        if self._is_behind or not place.take():
            self._turn_away(req, client)
            return
        try:
            if place.was_waited_for and has_left(client):
                raise StopIteration
            self.handle_request(listener_name, req, client, addr)
        finally:
            place.give_back()

    def _turn_away(self, req: Any, sock: Any) -> None:
        """Say when to come again. The body is read and dropped, so that the caller gets to read this."""
        if req._expected_100_continue or not self.alive:
            req.force_close()
        say(sock, _answer(gate.busy(), close=req.should_close()))

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what the application never saw, or failed at before it answered."""
        ours = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
        if isinstance(exc, errors.ParseException) and not isinstance(exc, ours):
            log.warning("a request that cannot be read: %s", type(exc).__name__)
            status = next((status for kind, status in _MISFRAMED.items() if isinstance(exc, kind)), 400)
            self._say(client, InvalidRequest("The request is not valid HTTP/1.1.", status=status, code="invalid_http"))
        else:
            log.error("unforeseen failure", exc_info=exc)
            self._say(client, ServiceError("The gateway failed.", code="internal_error"))

    def _say(self, client: Any, error: ApiError) -> None:
        """The last words on a connection."""
        with contextlib.suppress(OSError), gevent.Timeout(_LINGER_SECONDS, False):
            client.sendall(_answer(error, close=True))
            _linger(client)


def say(sock: Any, data: bytes) -> None:
    """Write all of it, as a rule at once: gevent's `sendall` would ask the kernel first how much that may be.

    :raises StopIteration: the caller takes nothing more.
    """
    sock.settimeout(STALL_SECONDS)  # of each piece that is taken, not of the whole
    try:
        sent = sock.send(data)
        if sent < len(data):
            rest = memoryview(data)[sent:]
            while rest:
                rest = rest[sock.send(rest) :]
    except TimeoutError:
        raise StopIteration from None
    finally:
        sock.settimeout(None)


def _has_drained(request: Arrival) -> bool:
    """Is the rest of a body gone? It is answered already: whatever is wrong with the rest, there is no second answer."""
    try:
        return request.drain()
    except (TooSlow, InvalidRequest, errors.NoMoreData):
        return False


def _answer(error: ApiError, *, close: bool) -> bytes:
    body = orjson.dumps(error.envelope())
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-request-id": f"req_{secrets.token_hex(16)}",
        "cache-control": "no-store",
        "connection": "close" if close else "keep-alive",
        **error.headers(),
    }
    lines = [f"HTTP/1.1 {error.http_status} {HTTPStatus(error.http_status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _is_served_always(path: str) -> bool:
    return path.startswith(_ALWAYS) and any(path == door or path.startswith(f"{door}/") for door in _ALWAYS)


def _hear_no_more(client: Any) -> None:
    """What has come can still be read; after it the connection is at its end."""
    with contextlib.suppress(OSError):
        # Not gevent's own: that would have whoever waits to read fail, whatever has come.
        client._sock.shutdown(socket.SHUT_RD)


def _linger(client: Any) -> None:
    """Drop for a moment what still comes: to close before it has been read would cut off what was said last."""
    with contextlib.suppress(OSError), gevent.Timeout(_LINGER_SECONDS, False):
        stint = Stint()
        client.shutdown(socket.SHUT_WR)
        for _ in range(_MOST_DROPPED):
            if not client.recv(_DROPPED_BYTES):
                return
            stint.look()  # whoever sends fast enough would keep everybody else waiting, that timer included


def _close(client: Any) -> None:
    with contextlib.suppress(OSError):
        client.close()

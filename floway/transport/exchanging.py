"""A request written to a connection in one piece, and its answer read as it comes."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from urllib3.exceptions import HTTPError

from floway.providers.contract import Proxy, UpstreamCut, UpstreamRequest, UpstreamUnreachable
from floway.transport import cancelling
from floway.transport.connecting import READ_BYTES, Connection, Road
from floway.transport.connecting import session as session_named
from floway.wire.framing import BrokenFraming
from floway.wire.heads import LARGEST_HEAD, Head, InvalidHead, answer_head, request_head

log = logging.getLogger(__name__)

_JOINED_BYTES = 256 * 1024
"""Up to here a body is copied to go out with its head."""


class _Stale(Exception):
    """A kept connection that ended before anything was answered: its end had crossed the request on the way."""


class _NotHad(Exception):
    """A connection that could not be opened; nothing was said."""


def cookie_header(session: str, url: str) -> str | None:
    """The cookies that `session` holds for `url`, as one header value, or None."""
    return session_named(session).cookies.header(url)


def send(
    request: UpstreamRequest,
    *,
    session: str,
    connect_timeout: float,
    answer_timeout: float,
    proxy: Proxy | None = None,
    once: bool = False,
) -> Response:
    """Send `request` and wait for the head of its answer, whatever its status; redirects are answers too.

    A kept connection may have been closed by the other side the moment it was used. If nothing at all was answered on it, the
    request goes out once more on a new one.

    :param session: whose connections and cookies to use; never shared between credentials.
    :param proxy: what to go through; if it fails there is no other way. The environment's own proxies are not looked at.
    :param once: what it says may be heard once only, so it goes out on a connection of its own and is never sent again.
    :param connect_timeout: seconds for the connection. :param answer_timeout: seconds of silence before the head.
    :raises UpstreamUnreachable: no answer was had, or the exchange was cancelled meanwhile.
    """
    held, head = session_named(session), None
    try:
        road = held.road(request.url, proxy)
        head = request_head(request.method, road.target(request.url), (*request.headers, *road.lines))
        connection, answer, early = _asked(road, head, request.body, connect_timeout, answer_timeout, once=once)
    except _NotHad as error:
        raise UpstreamUnreachable(_reason(error.__cause__ or error), sent=False) from error
    except (InvalidHead, OSError, ValueError) as error:
        raise UpstreamUnreachable(_reason(error), sent=head is not None) from error
    held.cookies.take(request.url, answer.headers)
    return Response(connection, replace(answer, keeps=False) if once else answer, early)


def _asked(
    road: Road, head: bytes, body: bytes, connect_timeout: float, answer_timeout: float, *, once: bool
) -> tuple[Connection, Head, bytes]:
    waiting = None if once else road.waiting()
    if waiting is not None:
        try:
            return _ask(waiting, head, body, answer_timeout)
        except _Stale:
            log.info("a kept connection had ended; asking once more")
    try:
        connection = road.open(connect_timeout)
    except (OSError, HTTPError, ValueError) as error:
        raise _NotHad from error
    return _ask(connection, head, body, answer_timeout)


def _ask(connection: Connection, head: bytes, body: bytes, timeout: float) -> tuple[Connection, Head, bytes]:
    """The connection, the head of the answer, and what came behind it.

    An upstream may answer and close before it has read the whole request. Its answer counts; the connection is of no more use.

    :raises _Stale: see there.
    """
    cancellation = cancelling.current()
    sock, came = connection.sock, b""
    if cancellation is not None:
        cancellation.guard(sock)
    try:
        sock.settimeout(timeout)
        try:
            broken = _say(sock, head, body)
            came = sock.recv(READ_BYTES)
            if not came:
                raise broken or ConnectionResetError("the connection ended without an answer")
        except (ConnectionError, OSError) as error:
            fresh = not connection.used or isinstance(error, TimeoutError)
            if fresh or (cancellation is not None and cancellation.cancelled):
                raise
            raise _Stale from error
        answer, early = _head_of(sock, came)
        return connection, answer if broken is None else replace(answer, keeps=False), early
    except BaseException:
        connection.close()
        raise


def _say(sock: Any, head: bytes, body: bytes) -> OSError | None:
    """Write the request; returns why the other side would not have all of it."""
    try:
        if len(body) <= _JOINED_BYTES:
            sock.sendall(head + body)
        else:
            sock.sendall(head)
            sock.sendall(body)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:  # the last is what TLS makes of the first
        return error
    return None


def _head_of(sock: Any, came: bytes) -> tuple[Head, bytes]:
    """The head that begins with `came`, interim ones passed over, and what came behind it."""
    while True:
        end = came.find(b"\r\n\r\n")
        if end >= 0:
            head, came = answer_head(came[:end]), came[end + 4 :]
            if not head.interim:
                return head, came
            continue
        if len(came) > LARGEST_HEAD:
            raise InvalidHead("a head without end")
        data = sock.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError("the connection ended inside the head")
        came += data


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(6):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _reason(error: BaseException) -> str:
    """What went wrong, without the URL or any header: kinds of errors only."""
    return " < ".join(type(cause).__name__ for cause in _chain(error))


class Response:
    """See `floway.providers.contract.UpstreamResponse`."""

    def __init__(self, connection: Connection, head: Head, early: bytes) -> None:
        self.status = head.status
        self.headers = head.headers
        self._connection = connection
        self._cancellation = cancelling.current()
        self._socket: Any = connection.sock
        self._body = head.body()
        self._keeps = head.keeps
        self._early = early
        self._closed = False

    def read(self, timeout: float) -> bytes:
        """See UpstreamResponse."""
        while not self._body.done:
            data, self._early = self._early or self._receive(timeout), b""
            if not data:
                if self._body.ends_with_connection:
                    return b""
                raise UpstreamCut("the connection ended inside the body")
            try:
                out = self._body.feed(data)
            except BrokenFraming as error:
                self._keeps = False
                raise UpstreamCut(str(error)) from error
            if out:
                return out
        return b""

    def _receive(self, timeout: float) -> bytes:
        try:
            self._socket.settimeout(timeout)
            received: bytes = self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            raise UpstreamCut(type(error).__name__) from error
        return received

    def read_all(self, limit: int, timeout: float) -> bytes:
        """See UpstreamResponse."""
        parts = bytearray()
        until = time.monotonic() + timeout
        try:
            while len(parts) < limit and (left := until - time.monotonic()) > 0 and (data := self.read(left)):
                parts += data
        except (TimeoutError, UpstreamCut):
            log.debug("a body that ended early")
        return bytes(parts[:limit])

    def close(self, *, heard_out: bool = False) -> None:
        """See UpstreamResponse."""
        if self._closed:
            return
        self._closed = True
        if self._cancellation is not None:
            # A connection that is kept may be another exchange's by the time somebody cancels this one.
            self._cancellation.guard(None)
        ended = self._body.done or (heard_out and not self._body.ends_with_connection)
        if ended and self._keeps and not self._early and not self._body.overran:
            self._connection.keep(self._body)
        else:
            self._connection.close()

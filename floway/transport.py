"""One upstream exchange over HTTP: opened, read as it arrives, closed from anywhere. The only importer of requests.

What a request says is the caller's business: its header lines go out in the order and case given, and nothing is added.
`requests` brings connection pools, TLS and proxies; the body is read from the socket beneath, because only there a read can
time out and go on, and a byte that has come is a byte that can be sent on.
"""

from __future__ import annotations

import contextvars
import http.client
import logging
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, get_cookie_header
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util import SKIP_HEADER

from floway.addresses import may_be_proxy
from floway.providers.contract import Proxy, UpstreamCut, UpstreamRequest, UpstreamUnreachable
from floway.wire.framing import Body, BrokenFraming, ChunkedBody, SizedBody, UnsizedBody
from floway.wire.headers import Headers

log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_IDLE_CONNECTIONS = 64
_SESSIONS = 256


class Cancellation:
    """Ends an upstream exchange from another thread, at whatever stage it is: `cancel` closes its connection."""

    def __init__(self) -> None:
        self.cancelled = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Close now, and whatever connection this exchange should still open."""
        with self._lock:
            self.cancelled = True
            if self._socket is not None:
                _shut(self._socket)

    def guard(self, sock: socket.socket | None) -> None:
        """From now on `cancel` closes this connection; None lets go of the last one."""
        with self._lock:
            self._socket = sock
            if self.cancelled and sock is not None:
                _shut(sock)


_cancellation: contextvars.ContextVar[Cancellation | None] = contextvars.ContextVar("cancellation", default=None)


@contextmanager
def cancellable(cancellation: Cancellation) -> Iterator[None]:
    """Exchanges opened inside are ended by `cancellation`."""
    token = _cancellation.set(cancellation)
    try:
        yield
    finally:
        _cancellation.reset(token)


class PeerDenied(OSError):
    """The name led to an address that this exchange may not go to."""


_may_reach: contextvars.ContextVar[Callable[[str], bool]] = contextvars.ContextVar("may_reach", default=lambda _: True)


@contextmanager
def reaching(may_reach: Callable[[str], bool]) -> Iterator[None]:
    """Exchanges opened inside go to addresses that `may_reach` allows: asked of the connection, before anything is said."""
    token = _may_reach.set(may_reach)
    try:
        yield
    finally:
        _may_reach.reset(token)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError):
        log.debug("the upstream connection was closed already")


class _HeadReader:
    """What http.client reads the head of an answer from; what it read too far is the beginning of the body."""

    def __init__(self, sock: socket.socket, reference: Any) -> None:
        self.sock = sock
        self.rest = b""
        self.closed = False
        self._reference = reference  # keeps the socket open after its connection let go of it

    def readline(self, limit: int = -1) -> bytes:
        """One line of the head; what there is at the connection's end."""
        while (end := self.rest.find(b"\n") + 1) == 0 and (limit < 0 or len(self.rest) < limit):
            data = self.sock.recv(_READ_BYTES)
            if not data:
                end = len(self.rest)
                break
            self.rest += data
        if end == 0 or 0 <= limit < end:
            end = limit
        line, self.rest = self.rest[:end], self.rest[end:]
        return line

    def flush(self) -> None:
        """Nothing is written here."""

    def close(self) -> None:
        """Let go of the socket."""
        self.closed = True
        self._reference.close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.head = _HeadReader(sock, self.fp)
        self.fp = self.head  # type: ignore[assignment] # it reads lines, which is all that the head's parser asks


class _Guarded:
    """Connections whose socket the current cancellation knows from the moment it is open."""

    response_class = _Answer
    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc] # mixed into a connection class
        self._guard()

    def getresponse(self) -> Any:
        self._guard()
        return super().getresponse()  # type: ignore[misc] # as above

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc] # mixed into a connection class
        if not _may_reach.get()(str(sock.getpeername()[0])):
            sock.close()
            raise PeerDenied("an address that this exchange may not go to")
        return sock

    def _guard(self) -> None:
        cancellation = _cancellation.get()
        if cancellation is not None:
            cancellation.guard(self.sock)


class _Connection(_Guarded, HTTPConnection):
    response_class = _Answer


class _TLSConnection(_Guarded, HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


class _Adapter(HTTPAdapter):
    """Connections of ours, through a proxy too."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session:
    """The connections and cookies of one credential in this process."""

    def __init__(self) -> None:
        self.cookies = RequestsCookieJar()
        self.adapter = _Adapter(pool_connections=4, pool_maxsize=_IDLE_CONNECTIONS, max_retries=0)


_sessions: OrderedDict[str, _Session] = OrderedDict()
_sessions_lock = threading.Lock()


def _session(name: str) -> _Session:
    with _sessions_lock:
        session = _sessions.pop(name, None) or _Session()
        _sessions[name] = session
        while len(_sessions) > _SESSIONS:
            _sessions.popitem(last=False)
        return session


def cookie_header(session: str, url: str) -> str | None:
    """The cookies that `session` holds for `url`, as one header value, or None."""
    prepared = requests.Request("GET", url).prepare()
    value: str | None = get_cookie_header(_session(session).cookies, prepared)  # type: ignore[no-untyped-call] # theirs
    return value


def send(
    request: UpstreamRequest, *, session: str, connect_timeout: float, answer_timeout: float, proxy: Proxy | None = None
) -> Response:
    """Send `request` and wait for the head of its answer, whatever its status; redirects are answers too.

    :param session: whose connections and cookies to use; never shared between credentials.
    :param proxy: what to go through; if it fails there is no other way. The environment's own proxies are not looked at.
    :param connect_timeout: seconds for the connection. :param answer_timeout: seconds of silence before the head.
    :raises UpstreamUnreachable: no answer was had, or the exchange was cancelled meanwhile.
    """
    held = _session(session)
    prepared = requests.PreparedRequest()
    prepared.method = request.method
    prepared.url = request.url
    stated = {name.lower() for name, _ in request.headers}
    unsaid = {name: SKIP_HEADER for name in ("accept-encoding", "user-agent") if name not in stated}
    prepared.headers = CaseInsensitiveDict({**unsaid, **dict(request.headers)})
    prepared.body = request.body or None  # requests would send an empty one in chunks
    proxies = {} if proxy is None else dict.fromkeys(("http", "https"), proxy.url)
    try:
        with nullcontext() if proxy is None else reaching(partial(may_be_proxy, local=proxy.local)):
            answer = held.adapter.send(prepared, stream=True, timeout=(connect_timeout, answer_timeout), proxies=proxies)
    except (requests.RequestException, HTTPError, OSError, http.client.HTTPException, ValueError) as error:
        raise UpstreamUnreachable(_reason(error), sent=_may_have_left(error)) from error
    extract_cookies_to_jar(held.cookies, prepared, answer.raw)  # type: ignore[no-untyped-call] # theirs
    return Response(answer)


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


def _may_have_left(error: BaseException) -> bool:
    """Not where no connection was made, or its certificate was not accepted."""
    never = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError, PeerDenied)
    return not any(isinstance(cause, never) for cause in _chain(error))


class Response:
    """See `floway.providers.contract.UpstreamResponse`."""

    def __init__(self, answer: requests.Response) -> None:
        self._raw: Any = answer.raw
        self._cancellation = _cancellation.get()
        head: Any = self._raw._original_response
        self._answer: _Answer = head
        self._socket: Any = self._answer.head.sock
        self.status = int(answer.status_code)
        self.headers = Headers.of(self._raw.headers.iteritems())
        self._body = self._framing()
        self._broken = False
        self._early, self._answer.head.rest = self._answer.head.rest, b""

    def _framing(self) -> Body:
        if self._answer.chunked:
            return ChunkedBody()
        if self.status in {204, 304}:
            return SizedBody(0)
        return UnsizedBody() if self._answer.length is None else SizedBody(self._answer.length)

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
                self._broken = True
                raise UpstreamCut(str(error)) from error
            if out:
                return out
        return b""

    def _receive(self, timeout: float) -> bytes:
        try:
            self._socket.settimeout(timeout)
            received: bytes = self._socket.recv(_READ_BYTES)
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

    def close(self) -> None:
        """See UpstreamResponse."""
        if self._cancellation is not None:
            # A connection that goes back to the pool may be another exchange's by the time somebody cancels this one.
            self._cancellation.guard(None)
        reusable = self._body.done and not self._broken and not self._answer.will_close
        self._answer.close()
        if reusable:
            self._raw.release_conn()
        else:
            self._raw.close()

"""Connections to upstreams: opened by urllib3, through proxies and TLS as requests would; kept between exchanges.

A kept connection that the other side has closed, or has said something on unasked, is not used again. One whose last body was
left a moment before its end (an upstream writes the end of its chunks behind its last event, and a network brings it later) is
used again once that end has come.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import OrderedDict, deque
from contextlib import nullcontext
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import allowed_gai_family
from urllib3.util.proxy import connection_requires_http_tunnel

from floway.addresses import may_be_proxy
from floway.providers.contract import Proxy
from floway.transport import cancelling
from floway.transport.cookies import Cookies
from floway.wire.framing import Body, SizedBody
from floway.wire.headers import HeaderLine

_IDLE_CONNECTIONS = 256
_SESSIONS = 256
_IDLE_SECONDS = 75.0
"""Longer than a caller takes between the turns of one task, shorter than what stands between keeps a silent connection."""
_UNENDED_SECONDS = 5.0
READ_BYTES = 64 * 1024


class _Guarded:
    """Connections whose socket the current cancellation knows before it is connected."""

    def _new_conn(self) -> socket.socket:
        theirs: Any = self
        failure = OSError("a name without an address")
        family = allowed_gai_family()
        for *kind, _, address in socket.getaddrinfo(theirs._dns_host, theirs.port, family, socket.SOCK_STREAM):
            sock = socket.socket(*kind)
            try:
                _connect(sock, address, theirs)
            except BaseException as error:
                sock.close()
                if not isinstance(error, OSError) or isinstance(error, cancelling.PeerDenied):
                    raise
                failure = error
            else:
                return sock
        raise failure


def _connect(sock: socket.socket, address: Any, wanted: Any) -> None:
    if (cancellation := cancelling.current()) is not None:
        cancellation.guard_opening(sock)
    for option in wanted.socket_options or ():
        sock.setsockopt(*option)
    sock.settimeout(wanted.timeout)
    sock.connect(address)
    cancelling.check_peer(sock)


class _Plain(_Guarded, HTTPConnection):
    pass


class _TLS(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLS


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


class Connection:
    """An open connection. `used`: it has served an exchange before."""

    def __init__(self, opened: Any, road: Road) -> None:
        self.sock: Any = opened.sock
        self.used = False
        self._body: Body = SizedBody(0)
        self._kept_at = 0.0
        self._opened = opened
        self._road = road

    def close(self) -> None:
        """Close it."""
        self._opened.close()

    def keep(self, body: Body) -> None:
        """Leave it to the next exchange.

        :param body: of the last one; it may lack its end still.
        """
        self.used = True
        self._body, self._kept_at = body, time.monotonic()
        self._road.keep(self)

    def is_free(self) -> bool | None:
        """May it serve another exchange? None: its last body has not ended yet.

        Takes what has come of that body, and waits for nothing.
        """
        self.sock.settimeout(0)
        ended = self._body.done
        try:
            data = self.sock.recv(READ_BYTES)
            if not data or ended:
                return False
            self._body.feed(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            return ended or None
        except (OSError, ValueError):
            return False
        if self._body.overran:
            return False
        return self.is_free() if self._body.done else None

    def waited(self, now: float) -> float:
        """Seconds since it was kept."""
        return now - self._kept_at


class Road:
    """The way from one session to one origin, and the connections that wait on it.

    :ivar lines: header lines that are for the proxy.
    """

    def __init__(self, adapter: HTTPAdapter, origin: str, proxy: Proxy | None) -> None:
        asked = requests.PreparedRequest()
        asked.url = origin
        proxies = {} if proxy is None else dict.fromkeys(("http", "https"), proxy.url)
        theirs: Any = adapter
        self._pool = theirs.get_connection_with_tls_context(asked, verify=True, proxies=proxies)
        theirs.cert_verify(self._pool, origin, verify=True, cert=None)
        self._proxy = proxy
        self._tunnels = connection_requires_http_tunnel(self._pool.proxy, self._pool.proxy_config, self._pool.scheme)
        self._asks_proxy = proxy is not None and not self._tunnels
        self.lines: tuple[HeaderLine, ...] = tuple(self._pool.proxy_headers.items()) if self._asks_proxy else ()
        self._idle: deque[Connection] = deque()

    def target(self, url: str) -> str:
        """What the request line names: the path, or the whole URL where a proxy is asked for it."""
        if self._asks_proxy:
            return url
        parts = urlsplit(url)
        return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"

    def waiting(self) -> Connection | None:
        """A connection that waits to be used again, if there is one: the latest, so that those not needed grow old."""
        now, unended = time.monotonic(), list[Connection]()
        self.forget_old(now)
        try:
            while self._idle:
                connection = self._idle.pop()
                free = connection.is_free()
                if free:
                    return connection
                if free is None and connection.waited(now) < _UNENDED_SECONDS:
                    unended.append(connection)
                else:
                    connection.close()
            return None
        finally:
            self._idle.extend(reversed(unended))

    def keep(self, connection: Connection) -> None:
        """See Connection."""
        self._idle.append(connection)
        if len(self._idle) > _IDLE_CONNECTIONS:
            self._idle.popleft().close()

    def forget_old(self, now: float) -> None:
        """Close what has waited too long."""
        while self._idle and self._idle[0].waited(now) > _IDLE_SECONDS:
            self._idle.popleft().close()

    def sweep(self, now: float) -> None:
        """Close whatever would not be used again: too old, ended, or never brought to its end."""
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:
                return  # somebody took it meanwhile
            free = connection.is_free()
            if free is False or connection.waited(now) > (_IDLE_SECONDS if free else _UNENDED_SECONDS):
                connection.close()
            else:
                self._idle.append(connection)

    def open(self, timeout: float) -> Connection:
        """A new connection.

        :param timeout: seconds. :raises OSError, HTTPError: there is none to be had.
        """
        opened = self._pool._new_conn()
        opened.timeout = timeout
        within = nullcontext() if self._proxy is None else cancelling.reaching(partial(may_be_proxy, local=self._proxy.local))
        try:
            with within:
                if self._tunnels and self._pool.proxy is not None:
                    self._pool._prepare_proxy(opened)
                else:
                    opened.connect()
        except BaseException:
            opened.close()
            if (cancellation := cancelling.current()) is not None:
                cancellation.guard(None)
            raise
        return Connection(opened, self)

    def close(self) -> None:
        """Close what waits."""
        while self._idle:
            self._idle.pop().close()


class Session:
    """The connections and cookies of one credential in this process."""

    def __init__(self) -> None:
        self.cookies = Cookies()
        self._adapter = _Adapter(pool_connections=4, max_retries=0)
        self._roads: dict[tuple[str, str, Proxy | None], Road] = {}

    def road(self, url: str, proxy: Proxy | None) -> Road:
        """The way to the origin of `url`."""
        scheme, _, rest = url.partition("://")
        key = scheme, rest.partition("/")[0], proxy
        if (road := self._roads.get(key)) is None:
            road = self._roads[key] = Road(self._adapter, f"{key[0]}://{key[1]}/", proxy)
        return road

    def sweep(self, now: float) -> None:
        """See Road."""
        for road in tuple(self._roads.values()):
            road.sweep(now)

    def close(self) -> None:
        """Close what waits."""
        for road in self._roads.values():
            road.close()


_sessions: OrderedDict[str, Session] = OrderedDict()
_sessions_lock = threading.Lock()


def session(name: str) -> Session:
    """The session of this name; those that were not asked for lately are forgotten."""
    with _sessions_lock:
        held = _sessions.get(name)
        if held is None:
            held = _sessions[name] = Session()
            if len(_sessions) > _SESSIONS:
                _sessions.popitem(last=False)[1].close()
        else:
            _sessions.move_to_end(name)
        return held


def sweep() -> None:
    """Close the kept connections that would not be used again, of all sessions; else they'd stay until somebody asks there."""
    with _sessions_lock:
        held = tuple(_sessions.values())
    now = time.monotonic()
    for one in held:
        one.sweep(now)

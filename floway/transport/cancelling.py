"""What holds for the exchanges of a task without being passed to each: who may end them, and where they may go."""

from __future__ import annotations

import contextvars
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Cancellation:
    """Ends an upstream exchange from another thread, at whatever stage it is: `cancel` closes its connection."""

    def __init__(self) -> None:
        self.cancelled = False
        self._socket: socket.socket | None = None
        self._copy: socket.socket | None = None
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
            if self._copy is not None:
                self._copy.close()
                self._copy = None
            self._socket = sock
            if self.cancelled and sock is not None:
                _shut(sock)

    def guard_opening(self, sock: socket.socket) -> None:
        """As `guard`, of one that is still to be connected: TLS takes its socket over and leaves it empty, but not its copy.

        :raises ConnectionAbortedError: this exchange was ended.
        """
        copy = sock.dup()
        self.guard(copy)
        self._copy = copy
        if self.cancelled:
            raise ConnectionAbortedError("ended before it was connected")


_cancellation: contextvars.ContextVar[Cancellation | None] = contextvars.ContextVar("cancellation", default=None)


@contextmanager
def cancellable(cancellation: Cancellation) -> Iterator[None]:
    """Exchanges opened inside are ended by `cancellation`."""
    token = _cancellation.set(cancellation)
    try:
        yield
    finally:
        _cancellation.reset(token)


def current() -> Cancellation | None:
    """Who may end what is opened now."""
    return _cancellation.get()


class PeerDenied(OSError):
    """The name led to an address that this exchange may not go to."""


_may_reach: contextvars.ContextVar[Callable[[str], bool] | None] = contextvars.ContextVar("may_reach", default=None)


@contextmanager
def reaching(may_reach: Callable[[str], bool]) -> Iterator[None]:
    """Exchanges opened inside go to addresses that `may_reach` allows: asked of the connection, before anything is said."""
    token = _may_reach.set(may_reach)
    try:
        yield
    finally:
        _may_reach.reset(token)


def check_peer(sock: socket.socket) -> None:
    """Closes a connection that may not be.

    :raises PeerDenied: that was one.
    """
    may_reach = _may_reach.get()
    if may_reach is not None and not may_reach(str(sock.getpeername()[0])):
        sock.close()
        raise PeerDenied("an address that this exchange may not go to")


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError):
        log.debug("the upstream connection was closed already")

"""Notices that a caller has left, also while there is nothing to write to it.

Under the shipped server the event loop itself looks at the caller's connection; without it a departed caller is found out by
the next write. A watch calls back once; it ends nothing by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from typing import Any

import gevent
from gevent import monkey

from floway.leaving import has_left


class Watch:
    """Calls `on_gone` if the caller's connection ends, until it is closed.

    :param seconds: after which the connection is ended, and `on_gone` called, should the caller not even read by then: who
        waits in a write looks at no clock.
    """

    def __init__(self, environ: Mapping[str, Any], on_gone: Callable[[], None], seconds: float) -> None:
        self._caller = environ.get("gunicorn.socket")
        self._on_gone = on_gone
        self._watchers: tuple[Any, ...] = ()
        if self._caller is None:
            return
        if has_left(self._caller):  # while it waited for its turn: the event loop has not been asked since
            on_gone()
        if not monkey.is_module_patched("socket"):
            return
        loop = gevent.get_hub().loop
        self._watchers = loop.io(self._caller.fileno(), 1), loop.timer(seconds)
        self._watchers[0].start(self._readable)
        self._watchers[1].start(gevent.spawn, self._end)

    def close(self) -> None:
        """Look no more."""
        watchers, self._watchers = self._watchers, ()
        for watcher in watchers:
            watcher.stop()
            watcher.close()

    def _readable(self) -> None:
        if self._watchers:
            self._watchers[0].stop()
            gevent.spawn(self._look)

    def _look(self) -> None:
        if has_left(self._caller):
            self._on_gone()

    def _end(self) -> None:
        self._on_gone()
        with suppress(OSError):
            self._caller.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr] # or nothing would be watched


class Watched:
    """The pieces of an answer, and the watch that lasts as long as they do."""

    def __init__(self, pieces: Generator[bytes], watch: Watch) -> None:
        self._pieces = pieces
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """What a server calls at the end, whichever it is."""
        try:
            self._pieces.close()
        finally:
            self._watch.close()

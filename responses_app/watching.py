"""Notices that a caller has left, also while there is nothing to write to it.

Under the shipped server the event loop itself looks at the caller's connection; without it a departed caller is found out by
the next write. A watch calls back once; it ends nothing by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import monkey


@contextmanager
def watching(environ: Mapping[str, Any], on_gone: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `on_gone` if the caller's connection ends inside.

    :param seconds: after which the connection is ended, and `on_gone` called, should the caller not even read by then: who
        waits in a write looks at no clock.
    """
    caller = environ.get("gunicorn.socket")
    if caller is None or not monkey.is_module_patched("socket"):
        yield
        return
    hub = gevent.get_hub()
    watcher = hub.loop.io(caller.fileno(), 1)

    def readable() -> None:
        watcher.stop()
        gevent.spawn(look)

    def look() -> None:
        try:
            gone = caller.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            gone = True
        if gone:
            on_gone()

    def too_late() -> None:
        gevent.spawn(end)

    def end() -> None:
        on_gone()
        with suppress(OSError):
            caller.shutdown(socket.SHUT_RDWR)

    timer = hub.loop.timer(seconds)
    watcher.start(readable)
    timer.start(too_late)
    try:
        yield
    finally:
        for watch in (watcher, timer):
            watch.stop()
            watch.close()

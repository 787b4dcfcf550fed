"""Notices that a caller has left, also while there is nothing to write to it.

Under the shipped server the event loop itself looks at the caller's connection; without it a departed caller is found out by
the next write. A watch calls back once; it ends nothing by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import monkey


@contextmanager
def watching(environ: Mapping[str, Any], on_gone: Callable[[], None]) -> Iterator[None]:
    """Call `on_gone` if the caller's connection ends inside."""
    caller = environ.get("gunicorn.socket")
    if caller is None or not monkey.is_module_patched("socket"):
        yield
        return
    watcher = gevent.get_hub().loop.io(caller.fileno(), 1)

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

    watcher.start(readable)
    try:
        yield
    finally:
        watcher.stop()
        watcher.close()

"""A load balancer, small: connections as they come, in turn to servers that say they are ready."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import threading
from urllib.parse import urlsplit

from tests.hosts.host import pump

_LOOK_SECONDS = 0.05


class Balancer:
    """Listens at `url`; `backends` may change while it does."""

    def __init__(self) -> None:
        self.backends: list[str] = []
        self._ready: frozenset[str] = frozenset()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._turns = itertools.count()
        self._looked = threading.Condition()
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        for work in (self._accept, self._look):
            threading.Thread(target=work, daemon=True).start()

    def wait_until_ready(self, backend: str) -> None:
        """Until it says that it is."""
        with self._looked:
            assert self._looked.wait_for(lambda: backend in self._ready, 30), f"{backend} is not ready"

    def close(self) -> None:
        """Take no more."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            ready = frozenset(backend for backend in list(self.backends) if _is_ready(backend))
            with self._looked:
                self._ready = ready
                self._looked.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, self._server() as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()

    def _server(self) -> socket.socket:
        """A connection to the next one that is ready; whoever refuses is passed over."""
        ready, turn = sorted(self._ready), next(self._turns)
        for number in range(len(ready)):
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(_address(ready[(turn + number) % len(ready)]))
        raise AssertionError(f"nobody is ready of {self.backends}")


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def _is_ready(url: str) -> bool:
    connection = http.client.HTTPConnection(*_address(url), timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()

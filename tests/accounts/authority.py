"""An authority on a loopback socket that can be held up: single-use refresh tokens, and a gate before each answer."""

from __future__ import annotations

import socket
import threading

from floway.providers.codex.simulated.backend import Backend
from floway.providers.codex.simulated.http import Exchange, Server


class Authority(Backend):
    """`arrived` is set when an exchange has come; it waits for `gate` before the token is used up, or after, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self._server = Server(socket.create_server(("127.0.0.1", 0), backlog=64), self.handle)
        self.url = self._server.url
        self.arrived = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.uses_up_first = True
        self.slow = threading.Event()
        """While it is not set, answers come late, but they come."""
        self.slow.set()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self.gate.set()
        self.slow.set()
        self._server.stop()

    def close_gate(self, *, uses_up_first: bool) -> None:
        """From now on answers wait. :param uses_up_first: the token is used up before the wait."""
        self.arrived.clear()
        self.gate.clear()
        self.uses_up_first = uses_up_first

    def _token(self, exchange: Exchange) -> None:
        self.arrived.set()
        self.slow.wait(30)
        if self.gate.is_set():
            super()._token(exchange)
        elif self.uses_up_first:
            # Answered in full at once, for nobody who is still there to read it.
            token = str(exchange.request.json.get("refresh_token"))
            self.exchanges.append(token)
            self._consumed.add(token)
            self.gate.wait(30)
            exchange.cut()
        else:
            self.gate.wait(30)
            exchange.cut()

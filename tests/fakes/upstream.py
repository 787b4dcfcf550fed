"""A fake upstream on a real loopback socket: the simulated backend, with a memory for requests and a script for faults."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from floway.providers.codex.simulated.backend import Backend
from floway.providers.codex.simulated.http import Exchange, Request, Server
from floway.providers.codex.simulated.refusals import refusal
from tests.fakes.invariants import broken_by

RESPONSES = "/backend-api/codex/responses"

Fault = Callable[["FakeUpstream", Exchange, str], None]
"""Answers one turn in place of the backend: upstream, exchange, account id."""


class FakeUpstream(Backend):
    """Everything that reached it, and what it found wrong with that.

    `distinct_ids` says that this test's caller states ids of its own that differ from the session.
    """

    def __init__(self, listener: socket.socket) -> None:
        super().__init__()
        self._server = Server(listener, self.handle)
        self.url = self._server.url
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.distinct_ids = False
        self._script: deque[Fault] = deque()

    def start(self) -> None:
        """Begin to listen."""
        self._server.start()

    def stop(self) -> None:
        """Close everything."""
        self._server.stop()

    def forget(self) -> None:
        """As new, and whoever still waits for an answer is let go."""
        self._server.drop_connections()
        for kept in (self.requests, self.violations, self._script, self.exchanges, self.revoked, self._consumed, self._prompts):
            kept.clear()
        self.turn_state = None
        self.routing.clear()
        self.authority.forget()
        self.distinct_ids = False

    @property
    def turns(self) -> list[Request]:
        """The turns asked for, oldest first."""
        return [request for request in self.requests if (request.method, request.path) == ("POST", RESPONSES)]

    @property
    def bodies(self) -> list[Any]:
        """Their bodies, decoded."""
        return [request.json for request in self.turns]

    @property
    def unused(self) -> int:
        """How many scripted answers nobody has asked for."""
        return len(self._script)

    def script(self, *faults: Fault) -> None:
        """Answer the coming turns by these, one each, then plainly again."""
        self._script.extend(faults)

    def handle(self, exchange: Exchange) -> None:
        """Record, judge, answer."""
        request = exchange.request
        self.requests.append(request)
        if (request.method, request.path) == ("POST", RESPONSES):
            self.violations.extend(broken_by(request, distinct_ids=self.distinct_ids))
        self.violations.extend(f"went out: {name}" for name, _ in request.headers if name.lower().startswith("x-floway-"))
        super().handle(exchange)

    def respond(self, exchange: Exchange, account_id: str) -> None:
        """By the script, where there is one and the request is none that would be refused."""
        if self._script and refusal(exchange.request.json, account_id) is None:
            self._script.popleft()(self, exchange, account_id)
        else:
            super().respond(exchange, account_id)

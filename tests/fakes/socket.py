"""A caller's end of a WebSocket, every frame in sight."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, Pong, TextMessage

from tests.fakes.caller import Caller


class CallersSocket:
    """An open WebSocket. `close_code` once it has been closed by the gateway, `pings` as many as came."""

    def __init__(self, connection: socket.socket, early: bytes) -> None:
        self._socket = connection
        self._frames = Connection(ConnectionType.CLIENT, trailing_data=early)
        self._text = ""
        self.close_code: int | None = None
        self.pings = 0
        self.pongs = 0

    def create(self, text: str | list[Any] = "", *, previous: str | None = None, **over: Any) -> None:
        """Ask for a turn."""
        message: dict[str, Any] = {"type": "response.create", "model": "gpt-5.5", "input": text, **over}
        self.say(message if previous is None else {**message, "previous_response_id": previous})

    def say(self, message: Any) -> None:
        """One text message."""
        self.frame(TextMessage(message if isinstance(message, str) else json.dumps(message)))

    def frame(self, event: Event) -> None:
        """Exactly this."""
        self._socket.sendall(self._frames.send(event))

    def raw(self, data: bytes) -> None:
        """Bytes that may be no frame."""
        self._socket.sendall(data)

    def events(self) -> Iterator[Any]:
        """Messages as they arrive, until the gateway closes."""
        while True:
            for event in self._frames.events():
                if isinstance(event, TextMessage):
                    self._text += event.data
                    if event.message_finished:
                        whole, self._text = self._text, ""
                        yield json.loads(whole)
                else:
                    self._note(event)
            if self.close_code is not None or not self._hear():
                return

    def _note(self, event: Event) -> None:
        if isinstance(event, Ping):
            self.pings += 1
            self.frame(event.response())
        elif isinstance(event, Pong):
            self.pongs += 1
        elif isinstance(event, CloseConnection):
            self.close_code = event.code

    def _hear(self) -> bool:
        data = self._socket.recv(65536)
        if data:
            self._frames.receive_data(data)
        return bool(data)

    def pinged(self) -> None:
        """Wait for a ping, while nothing else comes."""
        while not self.pings and self._hear():
            for event in self._frames.events():
                self._note(event)

    def turn(self) -> list[Any]:
        """The events of one turn, its last one or the error included."""
        found = []
        for event in self.events():
            found.append(event)
            if event["type"] in {"response.completed", "response.incomplete", "response.failed", "error"}:
                break
        return found

    def ask(self, text: str | list[Any] = "", *, previous: str | None = None, **over: Any) -> Any:
        """A turn's last event: the Response object, or the whole error event."""
        self.create(text, previous=previous, **over)
        return self.result()

    def result(self) -> Any:
        """The same of a turn that was asked for."""
        last = self.turn()[-1]
        return last.get("response", last)

    def ended(self) -> int | None:
        """Wait for the gateway's close; its code."""
        assert list(self.events()) == []
        return self.close_code

    def leave(self) -> None:
        """Hang up without a word."""
        self._socket.close()


def handshake(caller: Caller, path: str, headers: dict[str, str]) -> tuple[socket.socket, int, bytes, bytes]:
    """Ask for a socket: the connection, the answer's status, its head, and what came behind it."""
    parts = urlsplit(caller.url)
    usual = {
        "host": parts.netloc,
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        "authorization": f"Bearer {caller.key}",
    }
    lines = {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = socket.create_connection((parts.hostname, parts.port), timeout=caller.timeout)
    connection.sendall(
        f"GET {path} HTTP/1.1\r\n{''.join(f'{n}: {v}{chr(13)}{chr(10)}' for n, v in lines.items())}\r\n".encode()
    )
    got = b""
    while b"\r\n\r\n" not in got:
        data = connection.recv(65536)
        assert data, "no answer"
        got += data
    head, _, rest = got.partition(b"\r\n\r\n")
    return connection, int(head.split(b" ")[1]), head, rest


@contextmanager
def opened(caller: Caller, path: str = "/v1/responses", **headers: str) -> Iterator[CallersSocket]:
    """An open WebSocket, hung up at the end. An underscore in a header's name stands for a hyphen."""
    connection, status, head, rest = handshake(caller, path, headers)
    try:
        assert status == 101, head + rest
        yield CallersSocket(connection, rest)
    finally:
        connection.close()


def refused(caller: Caller, path: str = "/v1/responses", **headers: str) -> int:
    """The status of a handshake that fails."""
    connection, status, _, _ = handshake(caller, path, headers)
    connection.close()
    return status

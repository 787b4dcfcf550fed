"""One WebSocket on a connection that a server has handed over: messages in, messages out, an orderly end.

wsproto knows the frames and no sockets. Nothing is compressed, so that a message is as long as its frames say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PIECE = 64 * 1024
_FAREWELL_SECONDS = 1.0


class NotAHandshake(ValueError):
    """The request asks for a WebSocket in a way that RFC 6455 does not know; `str` says what is wrong."""


class Violation(Exception):
    """The caller sent what ends the connection. `code`: the close code."""

    def __init__(self, message: str, code: CloseReason) -> None:
        super().__init__(message)
        self.code = code


class TooLong(Violation):
    """A message is longer than the limit."""


class NotText(Violation):
    """A binary message."""


def acceptance(headers: Mapping[str, str], *lines: tuple[str, str]) -> bytes:
    """The head that answers a handshake, whole.

    :param headers: the request's, names in any case. :param lines: further header lines of the answer.
    :raises NotAHandshake: see there.
    """
    asked = {name.lower(): value for name, value in headers.items()}
    if "upgrade" not in {token.strip().lower() for token in asked.get("connection", "").split(",")}:
        raise NotAHandshake("'connection' must say 'upgrade'.")
    if asked.get("sec-websocket-version", "").strip() != "13":
        raise NotAHandshake("'sec-websocket-version' must be 13.")
    key = asked.get("sec-websocket-key", "").strip()
    try:
        nonce = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise NotAHandshake("'sec-websocket-key' must be base64.") from error
    if len(nonce) != 16:
        raise NotAHandshake("'sec-websocket-key' must be 16 bytes.")
    proof = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - RFC 6455 §4.2.2
    told = (("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", proof), *lines)
    return b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % "".join(f"{n}: {v}\r\n" for n, v in told).encode("latin-1")


def _threads_take_turns() -> None:
    """By themselves."""


class WebSocket:
    """The server's side of an open WebSocket. One thread reads `messages`; any thread may send and close.

    :param limit: bytes that one message may have. :param tick: seconds of silence after which `messages` says so.
    :param stall: seconds within which whatever is written must have left.
    :param let_others: called between frames, which may come without end and without being waited for; threads need none.
    """

    def __init__(
        self, connection: socket.socket, *, limit: int, tick: float, stall: float, let_others: Callable[[], None] | None = None
    ) -> None:
        self._socket = connection
        self._limit = limit
        self._stall = stall
        self._let_others = let_others or _threads_take_turns
        self._frames = Connection(ConnectionType.SERVER)
        self._writing = threading.Lock()
        connection.settimeout(tick)

    def hand_over(self, head: bytes) -> None:
        """Write what answers the handshake.

        :raises OSError: the caller is gone.
        """
        self._write(head)

    def messages(self) -> Iterator[bytes | None]:
        """Text messages as they come, in UTF-8; None where nothing came for a tick, after a ping. Ends with the connection.

        :raises Violation: see there.
        """
        whole = bytearray()
        while self._frames.state is ConnectionState.OPEN:
            try:
                data = self._socket.recv(_PIECE)
            except TimeoutError:
                self._send_ping()
                yield None
                continue
            except OSError:
                return
            if not data:
                return
            for piece in self._pieces(data):
                whole += piece.data.encode()
                if len(whole) > self._limit:
                    raise TooLong(f"A message may have at most {self._limit} bytes.", CloseReason.MESSAGE_TOO_BIG)
                if piece.message_finished:
                    message, whole = bytes(whole), bytearray()
                    yield message

    def _pieces(self, data: bytes) -> Iterator[TextMessage]:
        self._frames.receive_data(data)
        for event in self._frames.events():  # a frame that is none comes as the close that answers it
            self._let_others()
            if isinstance(event, TextMessage):
                yield event
            elif isinstance(event, BytesMessage):
                raise NotText("Messages are JSON texts; a binary one came.", CloseReason.UNSUPPORTED_DATA)
            elif isinstance(event, Ping | CloseConnection):
                self._reply(event)

    def _reply(self, event: Ping | CloseConnection) -> None:
        with suppress(OSError, LocalProtocolError):
            self._send(event.response())

    def _send_ping(self) -> None:
        with suppress(OSError, LocalProtocolError):
            self._send(Ping())

    def send(self, text: str) -> None:
        """One text message.

        :raises OSError: the caller is gone, or does not read.
        """
        try:
            self._send(TextMessage(text))
        except LocalProtocolError as error:
            raise ConnectionResetError("the WebSocket is closing") from error

    def wake(self) -> None:
        """`messages` ends, though the caller is there."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def close(self, code: CloseReason, reason: str = "") -> None:
        """Say goodbye, and hear the caller out for a moment, or what was said last could be lost on its way."""
        with suppress(OSError, LocalProtocolError):
            self._send(CloseConnection(code, reason))
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(_FAREWELL_SECONDS)
            until = time.monotonic() + _FAREWELL_SECONDS
            while time.monotonic() < until and self._socket.recv(_PIECE):
                self._let_others()

    def _send(self, event: Event) -> None:
        with self._writing:
            self._write_now(self._frames.send(event))

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._write_now(data)

    def _write_now(self, data: bytes) -> None:
        view, until = memoryview(data), time.monotonic() + self._stall
        while view:
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                if time.monotonic() > until:
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_RDWR)
                    raise

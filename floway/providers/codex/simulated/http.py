"""HTTP/1.1 on a plain socket, bare enough to see every byte: raw header lines in, chunks out exactly as they are written."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import zstandard

_REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
}
_LARGEST_HEAD = 256 * 1024

HeaderLines = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    """One request as it came: `headers` in the order and case of the wire, `body` still in its content encoding."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        """The first value under a name, compared without case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @cached_property
    def json(self) -> Any:
        """The body, decoded and parsed. :raises ValueError: it is not JSON."""
        body = self.body
        if self.header("content-encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        return json.loads(body)


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, request: Request, sock: socket.socket) -> None:
        self.request = request
        self.left = threading.Event()
        """Set when the other side closes, while `watch` looks."""
        self.reusable = True
        self._socket = sock

    def answer(self, status: int, body: bytes, headers: HeaderLines = ()) -> None:
        """The whole answer at once."""
        self.send(_head(status, [*headers, ("content-length", str(len(body)))]) + body)

    def answer_json(self, status: int, document: Any, headers: HeaderLines = ()) -> None:
        """A JSON answer."""
        self.answer(status, json.dumps(document).encode(), [("content-type", "application/json"), *headers])

    def begin(self, headers: HeaderLines, status: int = 200) -> None:
        """The head of an answer whose chunks follow."""
        self.send(_head(status, [*headers, ("transfer-encoding", "chunked")]))

    def chunk(self, data: bytes) -> None:
        """One chunk, in one write."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """The last chunk."""
        self.send(b"0\r\n\r\n")

    def send(self, data: bytes) -> None:
        """Bytes as they are. :raises OSError: nobody is there."""
        self._socket.sendall(data)

    def cut(self) -> None:
        """Close without another byte."""
        self.reusable = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def watch(self) -> None:
        """From now on `left` is set as soon as the other side closes. The connection is not used again."""
        self.reusable = False
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(4096):
                pass
        self.left.set()


class Server:
    """Listens in a thread of its own, with a thread per connection; `handle` answers each exchange."""

    def __init__(self, listener: socket.socket, handle: Callable[[Exchange], None]) -> None:
        self._listener = listener
        self._handle = handle
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def url(self) -> str:
        """`http://host:port`."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Begin to accept."""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """Accept until stopped."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._stopped:
                    sock.close()
                    return
                self._connections.add(sock)
            threading.Thread(target=self._converse, args=(sock,), daemon=True).start()

    def stop(self) -> None:
        """Close the listener and every connection."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every connection; the other sides notice."""
        with self._lock:
            for sock in self._connections:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _converse(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = sock.makefile("rb")
        try:
            while (request := _read_request(reader)) is not None:
                exchange = Exchange(request, sock)
                self._handle(exchange)
                if not exchange.reusable:
                    return
        except OSError:
            return
        finally:
            with self._lock:
                self._connections.discard(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            reader.close()
            sock.close()


def _read_request(reader: Any) -> Request | None:
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline(_LARGEST_HEAD)
        if not line:
            return None
        head += line
    first, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in rest))
    framing: Mapping[str, str] = {name.lower(): value for name, value in headers}
    if framing.get("transfer-encoding") == "chunked":
        return Request(method, target, headers, _read_chunks(reader))
    return Request(method, target, headers, reader.read(int(framing.get("content-length", "0"))))


def _read_chunks(reader: Any) -> bytes:
    body = bytearray()
    while size := int(reader.readline(), 16):
        body += reader.read(size)
        reader.readline()
    reader.readline()
    return bytes(body)


def _head(status: int, headers: HeaderLines) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

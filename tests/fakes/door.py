"""The gateway behind a real socket inside the test's process: a threaded WSGI server that buffers nothing.

It treats header lines as the shipped server's configuration does, and like it decodes chunked request bodies as they are read.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

from floway import serving


class ChunkedInput(io.RawIOBase):
    """A chunked request body, read no further than asked."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._left = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left == 0 and not self._ended:
            self._left = int(self._reader.readline(), 16)
            if self._left == 0:
                self._ended = True
                self._reader.readline()
        data = self._reader.read(min(self._left, len(buffer)))
        self._left -= len(data)
        if self._left == 0 and data:
            self._reader.readline()
        buffer[: len(data)] = data
        return len(data)


class Door:
    """Serves a WSGI application on an ephemeral loopback port, a thread per connection, one request each."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._threads: set[threading.Thread] = set()
        self._silent: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more requests; those in flight have ten seconds. A browser keeps spare connections, which are none."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._silent):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RD)
        self.settle()

    def settle(self) -> None:
        """Wait until no request is in flight."""
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive(), "a request did not end"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._converse, args=(sock,), daemon=True)
            self._threads.add(thread)
            self._silent.add(sock)
            thread.start()

    def _converse(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = sock.makefile("rb")
        try:
            self._serve(reader, sock)
        except OSError:
            return
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            reader.close()
            sock.close()
            self._silent.discard(sock)
            self._threads.discard(threading.current_thread())

    def _serve(self, reader: Any, sock: socket.socket) -> None:
        environ = _environ(reader, sock)
        self._silent.discard(sock)
        if environ is None:
            return
        answer = Answer(sock)
        result = self._application(environ, answer.start)
        try:
            for data in result:
                answer.write(data)
            answer.end()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()


class Answer:
    """The response, each piece in a chunk and a write of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._head = b""
        self._chunked = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """WSGI's start_response."""
        lines = [*headers, ("connection", "close")]
        self._chunked = "content-length" not in {name.lower() for name, _ in headers}
        if self._chunked:
            lines.append(("transfer-encoding", "chunked"))
        text = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
        self._head = text.encode("latin-1")
        return self.write

    def write(self, data: bytes) -> None:
        """One piece."""
        if data:
            head, self._head = self._head, b""
            self._socket.sendall(head + (b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data))

    def end(self) -> None:
        """The rest."""
        self._socket.sendall(self._head + (b"0\r\n\r\n" if self._chunked else b""))


def _environ(reader: Any, sock: socket.socket) -> dict[str, Any] | None:
    first = reader.readline()
    if not first:
        return None
    method, target, _ = first.decode("latin-1").split(" ")
    lines = []
    while (line := reader.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode("latin-1").partition(":")
        lines.append((name.upper(), value.strip()))
    request = SimpleNamespace(headers=lines)
    serving.pre_request(None, request)
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(sock.getsockname()[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input": reader,
        "wsgi.input_terminated": True,
        "gunicorn.socket": sock,
    }
    _add_headers(environ, request.headers)
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        environ["wsgi.input"] = io.BufferedReader(ChunkedInput(reader))
        environ.pop("CONTENT_LENGTH", None)
    elif "CONTENT_LENGTH" not in environ:
        environ["wsgi.input"] = io.BytesIO()
    if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return environ


def _add_headers(environ: dict[str, Any], lines: list[tuple[str, str]]) -> None:
    for name, value in lines:
        key = name.replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value

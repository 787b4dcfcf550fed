"""A forward proxy on a loopback socket: relays plain requests, refuses tunnels, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import BinaryIO
from urllib.parse import urlsplit


class FakeProxy:
    """`heads` holds the head of every request; with `refuses` it answers 503 to all."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.refuses = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as open_sockets, client, client.makefile("rb") as reader:
            upstream: socket.socket | None = None
            while lines := _head(reader):
                self.heads.append(b"\r\n".join(lines))
                method, target, version = lines[0].decode().split(" ")
                body = reader.read(_length(lines))
                if self.refuses or method == "CONNECT":
                    client.sendall(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    return
                url = urlsplit(target)
                if upstream is None:
                    upstream = open_sockets.enter_context(socket.create_connection((url.hostname, url.port or 80)))
                    threading.Thread(target=_pump, args=(upstream, client), daemon=True).start()
                path = target.removeprefix(f"{url.scheme}://{url.netloc}")
                kept = [line for line in lines[1:] if not line.lower().startswith(b"proxy-")]
                upstream.sendall(b"\r\n".join([f"{method} {path} {version}".encode(), *kept, b"", b""]) + body)


def _head(reader: BinaryIO) -> list[bytes]:
    lines = []
    while (line := reader.readline().rstrip(b"\r\n")) != b"":
        lines.append(line)
    return lines


def _length(lines: list[bytes]) -> int:
    stated = (line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-length:"))
    return int(next(stated, b"0"))


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)

"""A listener on the loopback interface for the address that a browser is sent to at the end of a sign-in."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
_REQUEST_SECONDS = 5
_ANSWER_SECONDS = 90


class PortTaken(OSError):
    """Another program listens there already."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the browser is told; `done` ends the listening."""

    status: int
    text: str
    done: bool


@dataclass(frozen=True, slots=True)
class _Call:
    url: str = field(repr=False)
    replies: queue.Queue[Reply] = field(default_factory=lambda: queue.Queue(1))
    answered: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    allow_reuse_address = False
    daemon_threads = True

    def __init__(self, port: int, redirect_uri: str) -> None:
        super().__init__((_HOST, port), _Handler)
        self.redirect_uri = redirect_uri
        self.calls: queue.Queue[_Call] = queue.Queue()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        """Hands a callback over and answers as told; nothing else is here."""
        expected = urlsplit(self.server.redirect_uri)
        if self.headers.get("host") != expected.netloc or urlsplit(self.path).path != expected.path:
            self._answer(Reply(404, "Nothing is here.", done=False))
            return
        call = _Call(f"{expected.scheme}://{expected.netloc}{self.path}")
        self.server.calls.put(call)
        try:
            self._answer(call.replies.get(timeout=_ANSWER_SECONDS))
        except queue.Empty:
            self._answer(Reply(504, "No answer in time.", done=False))
        finally:
            call.answered.set()

    def _answer(self, reply: Reply) -> None:
        body = f"{reply.text}\n".encode()
        self.send_response(reply.status)
        for name, value in (
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Says nothing: the address holds a code."""


class Listener:
    """Listens on 127.0.0.1, at the port of the redirect, as long as it is entered.

    :raises PortTaken: at entering; `str` says what to do.
    """

    def __init__(self, redirect_uri: str) -> None:
        self._redirect_uri = redirect_uri

    def __enter__(self) -> Self:
        port = urlsplit(self._redirect_uri).port or 80
        try:
            self._server = _Server(port, self._redirect_uri)
        except OSError as error:
            raise PortTaken(f"Port {port} on {_HOST} cannot be listened on ({error.strerror}).") from error
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handle: Callable[[str], Reply], seconds: float) -> bool:
        """Call `handle` in this thread with each callback's whole address until it is done; False if none came in time.

        :param seconds: how long to wait for each.
        """
        while True:
            try:
                call = self._server.calls.get(timeout=seconds)
            except queue.Empty:
                return False
            reply = handle(call.url)
            call.replies.put(reply)
            if reply.done:
                call.answered.wait(_REQUEST_SECONDS)
                return True

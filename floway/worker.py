"""gunicorn's gevent worker, less what a stream pays for without need.

An answer's head leaves with its first bytes and its end with its last: two system calls and two packets less for each. What
is logged leaves in batches, and what is loaded once for all is not looked through for garbage again.
"""

from __future__ import annotations

import gc
import time
from functools import lru_cache
from typing import Any

import gevent
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.message import TOKEN_RE

from floway import logs
from floway.bounded import BoundedWorker, say
from floway.fairness import Stint
from floway.leaving import STALL_SECONDS
from floway.wire.framing import LastPiece

_LOG_SECONDS = 0.1
_YOUNG_OBJECTS = 10_000
"""A turn makes some hundreds of objects that hold others, and nearly all go when it ends; Python looks after 700."""


class Answer(wsgi.Response):  # type: ignore[misc] # gunicorn has no types
    """A response that is written in as few pieces as it comes in."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._held = b""
        self._ended = False

    headers_sent: bool

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """As gunicorn's, but a name is looked at once: an application says few, over and over."""
        for name, value in headers:
            if _is_plain(name) and _is_value(value):
                self.headers.append((name, value.strip(" \t")))
            else:
                super().process_headers([(name, value)])

    def send_headers(self) -> None:
        """Hold the head until there is something to send it with."""
        if not self.headers_sent:
            lines = [f"{name}: {value}\r\n" for name, value in self.headers]
            self._held = f"{self._first_lines()}{''.join(lines)}\r\n".encode("latin-1")
            self.headers_sent = True

    def _first_lines(self) -> str:
        """gunicorn's own."""
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        framing = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        return (
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {_date(int(time.time()))}\r\n"
            f"Connection: {connection}\r\n{framing}"
        )

    def sendfile(self, respiter: Any) -> bool:
        """The head first: a file goes round what is held.

        :raises StopIteration: the caller takes nothing more.
        """
        self.sock.settimeout(STALL_SECONDS)
        try:
            super().send_headers()
            return bool(super().sendfile(respiter))
        except TimeoutError:
            raise StopIteration from None
        finally:
            self.sock.settimeout(None)

    def _emit_body(self, data: bytes) -> None:
        head, self._held = self._held, b""
        if not self.chunked:
            say(self.sock, head + data if head else data)
            return
        self._ended = isinstance(data, LastPiece)
        say(self.sock, b"%b%X\r\n%b%b" % (head, len(data), data, b"\r\n0\r\n\r\n" if self._ended else b"\r\n"))

    def close(self) -> None:
        """Whatever is still to be said."""
        self.send_headers()
        rest = self._held + (b"0\r\n\r\n" if self.chunked and not self._ended else b"")
        self._held = b""
        if rest:
            say(self.sock, rest)


@lru_cache(maxsize=1024)
def _is_plain(name: str) -> bool:
    """Is it a header's name, and none that the server itself has to do with?"""
    return TOKEN_RE.fullmatch(name) is not None and name.lower() != "content-length" and not util.is_hoppish(name)


_is_value = wsgi.HEADER_VALUE_RE.fullmatch


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return str(util.http_date(second))


class Worker(BoundedWorker):
    """See the module."""

    def run(self) -> None:
        """Serve until told to stop."""
        handlers = logs.batched()
        writer = gevent.spawn(_write_out, handlers)
        _put_at_hand(self.cfg)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)
        try:
            super().run()
        finally:
            writer.kill()
            for handler in handlers:
                handler.flush()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """As gunicorn's, with our response and without its access log: each request has a line of ours.

        :raises StopIteration: the connection is not to be used again.
        """
        answer = None
        try:
            self.cfg.pre_request(self, req)
            if req._expected_100_continue:
                req._expected_100_continue = False  # gunicorn would say it without a limit of time
                say(sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            answer, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, response_class=Answer)
            environ["wsgi.multithread"] = True
            environ["floway.place"], environ["floway.stint"] = getattr(req, "place", None), req.unreader.stint
            self._count()
            if not self.alive or not self.cfg.keepalive:
                answer.force_close()
            self._answer(answer, environ)
        except (gevent.GreenletExit, SystemExit):
            _end(sock)
            raise StopIteration from None
        except (StopIteration, OSError):
            raise
        except Exception:
            if answer is None or not answer.headers_sent:
                raise
            self.log.exception("a response broke off")
            _end(sock)
            raise StopIteration from None
        if answer.should_close():
            raise StopIteration
        return True

    def _count(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False

    def _answer(self, answer: Answer, environ: dict[str, Any]) -> None:
        stint: Stint = environ["floway.stint"]
        result = self.wsgi(environ, answer.start_response)
        try:
            if isinstance(result, environ["wsgi.file_wrapper"]):
                answer.write_file(result)
            else:
                for piece in result:
                    answer.write(piece)
                    stint.look()
            answer.close()
        finally:
            if hasattr(result, "close"):
                result.close()


def _put_at_hand(cfg: Any) -> None:
    """Put the settings, which nobody changes now, where they are found at once: each is looked for in two calls of Python
    otherwise, and a request asks for twenty.
    """
    vars(cfg).update({name: setting.get() for name, setting in cfg.settings.items()})


def _write_out(handlers: list[logs.LineHandler]) -> None:
    while True:
        gevent.sleep(_LOG_SECONDS)
        for handler in handlers:
            handler.flush()


def _end(sock: Any) -> None:
    """A second answer on a connection that has half of one would be read as its rest."""
    util.close(sock)

"""The transport against a raw socket: what goes out to the byte, what comes back as it comes, and how it is ended."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from floway import transport
from floway.providers.contract import Proxy, UpstreamCut, UpstreamRequest, UpstreamUnreachable
from floway.transport import connecting
from floway.transport.cookies import Cookies
from floway.wire.headers import Headers

Handler = Callable[[socket.socket, bytes], None]


class RawServer:
    """Answers each request with whatever `handler` writes to its connection."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        held = b""
        try:
            while True:
                while b"\r\n\r\nbody" not in held:
                    data = connection.recv(65536)
                    if not data:
                        return
                    held += data
                self.requests.append(held)
                self.handler(connection, held)
                held = b""
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], RawServer]]:
    servers: list[RawServer] = []

    def start(handler: Handler) -> RawServer:
        servers.append(RawServer(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def request_to(server: RawServer, headers: tuple[tuple[str, str], ...] = ()) -> UpstreamRequest:
    framing = (("host", f"127.0.0.1:{server.port}"), ("content-length", "4"))
    return UpstreamRequest("POST", f"http://127.0.0.1:{server.port}/path?q=1", (*headers, *framing), b"body")


def send(request: UpstreamRequest, session: str = "test") -> transport.Response:
    return transport.send(request, session=session, connect_timeout=5, answer_timeout=20)


def answering(raw: bytes) -> Handler:
    return lambda connection, _: connection.sendall(raw)


def read_out(response: transport.Response) -> bytes:
    parts = []
    while piece := response.read(20):
        parts.append(piece)
    return b"".join(parts)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_what_goes_out_is_what_was_given_in_its_order_and_case(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(OK))
    response = send(request_to(server, (("version", "1"), ("X-Mixed-Case", "2"), ("session-id", "3"), ("user-agent", "u"))))
    read_out(response)
    response.close()
    lines = server.requests[0].split(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines == [
        b"POST /path?q=1 HTTP/1.1",
        b"version: 1",
        b"X-Mixed-Case: 2",
        b"session-id: 3",
        b"user-agent: u",
        f"host: 127.0.0.1:{server.port}".encode(),
        b"content-length: 4",
    ]


def test_a_body_read_to_its_end_leaves_its_connection_for_the_next(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
    for _ in range(3):
        response = send(request_to(server), "reused")
        assert read_out(response) == b"ok"
        response.close()
    assert server.connections == 1


class LateEnd:
    """Writes the end of its chunks when it is told to."""

    def __init__(self, end: bytes = b"0\r\n\r\n") -> None:
        self._end = end
        self._due: list[socket.socket] = []

    def __call__(self, connection: socket.socket, _: bytes) -> None:
        self._due.append(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")

    def heard_out(self, server: RawServer, *, ends: bool = True) -> transport.Response:
        """One exchange, let go of when it has said all it has to say; its end has come when this returns, or is to come."""
        response = send(request_to(server), f"late end of {server.port}")
        assert response.read(20) == b"ok"
        response.close(heard_out=True)
        if ends:
            self.end(response)
        return response

    def end(self, response: transport.Response) -> None:
        self._due.pop(0).sendall(self._end)
        assert select.select([response._socket], [], [], 20)[0]  # only it knows when the end has come


def test_a_connection_is_used_again_when_the_end_of_what_was_heard_out_has_come(serve: Callable[[Handler], RawServer]) -> None:
    late = LateEnd()
    server = serve(late)
    for _ in range(3):
        late.heard_out(server)
    assert server.connections == 1


def test_a_connection_whose_end_is_still_to_come_is_left_for_later(serve: Callable[[Handler], RawServer]) -> None:
    late = LateEnd()
    server = serve(late)
    first = late.heard_out(server, ends=False)
    late.heard_out(server, ends=False)
    assert server.connections == 2
    late.end(first)
    late.heard_out(server, ends=False)
    assert server.connections == 2


@pytest.mark.parametrize("end", [b"0\r\n\r\nmore", b"2\r\nno\r\n", b"x"])
def test_a_connection_that_says_something_else_than_an_end_is_not_used_again(
    serve: Callable[[Handler], RawServer], end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_UNENDED_SECONDS", 0)
    late = LateEnd(end)
    server = serve(late)
    late.heard_out(server)
    late.heard_out(server)
    assert server.connections == 2


def test_a_connection_that_has_waited_too_long_is_closed(
    serve: Callable[[Handler], RawServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answering(OK))
    for idle in (75, 0):
        monkeypatch.setattr(connecting, "_IDLE_SECONDS", idle)
        for _ in range(2):
            response = send(request_to(server), "aged")
            read_out(response)
            response.close()
    assert server.connections == 3


def test_a_sweep_closes_what_has_waited_too_long_and_nothing_else(
    serve: Callable[[Handler], RawServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = LateEnd()
    server, ended_server = serve(late), serve(answering(OK))
    unended, ended = late.heard_out(server, ends=False), send(request_to(ended_server), "swept")
    read_out(ended)
    ended.close()

    def open_after(seconds: float) -> tuple[bool, bool]:
        now = time.monotonic() + seconds
        with monkeypatch.context() as patch:
            patch.setattr(connecting, "time", SimpleNamespace(monotonic=lambda: now))
            transport.sweep()
        return unended._socket.fileno() >= 0, ended._socket.fileno() >= 0

    assert [open_after(seconds) for seconds in (4, 6, 74, 76)] == [(True, True), (False, True), (False, True), (False, False)]


def test_a_sweep_takes_the_end_that_has_come_and_leaves_the_connection_in_use(
    serve: Callable[[Handler], RawServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = LateEnd()
    server = serve(late)
    late.heard_out(server)
    monkeypatch.setattr(connecting, "_UNENDED_SECONDS", 0)
    transport.sweep()
    late.heard_out(server)
    assert server.connections == 1


def test_a_body_left_unread_closes_its_connection(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart"))
    for _ in range(2):
        response = send(request_to(server), "unread")
        assert response.read(20) == b"part"
        response.close()
    assert server.connections == 2


def test_a_read_that_times_out_may_go_on(serve: Callable[[Handler], RawServer]) -> None:
    goes_on = threading.Event()

    def handler(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        goes_on.wait(20)
        connection.sendall(b"cd")

    response = send(request_to(serve(handler)), "timeout")
    assert response.read(20) == b"ab"
    with pytest.raises(TimeoutError):
        response.read(0.01)
    goes_on.set()
    assert response.read(20) == b"cd"
    assert response.read(20) == b""
    response.close()


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 9\r\n\r\npart",
        b"transfer-encoding: chunked\r\n\r\n9\r\npart",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_cut_inside_the_body_is_told_from_its_end(serve: Callable[[Handler], RawServer], head: bytes) -> None:
    def handler(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        connection.shutdown(socket.SHUT_RDWR)

    response = send(request_to(serve(handler)), "cut")
    with pytest.raises(UpstreamCut):
        read_out(response)
    response.close()


def test_a_body_without_length_ends_with_its_connection(serve: Callable[[Handler], RawServer]) -> None:
    def handler(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        connection.shutdown(socket.SHUT_RDWR)

    response = send(request_to(serve(handler)), "unsized")
    assert read_out(response) == b"all of it"
    response.close()


@pytest.mark.parametrize("answers_head", [False, True])
def test_cancelling_wakes_whoever_waits_at_whatever_stage(serve: Callable[[Handler], RawServer], answers_head: bool) -> None:
    arrived, release = threading.Event(), threading.Event()

    def handler(connection: socket.socket, _: bytes) -> None:
        if answers_head:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        arrived.set()
        release.wait(20)

    cancellation = transport.Cancellation()
    threading.Thread(target=lambda: (arrived.wait(20), cancellation.cancel()), daemon=True).start()
    request = request_to(serve(handler))
    with (
        transport.cancellable(cancellation),
        pytest.raises((UpstreamUnreachable, UpstreamCut)),
        contextlib.closing(send(request, "cancelled")) as response,
    ):
        response.read(20)
    assert cancellation.cancelled
    release.set()


def test_cancelling_ends_the_wait_for_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as crowd:
        for _ in range(2):
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        assert_cancelled("http", full, proxy=None)


@pytest.mark.parametrize("through_proxy", [False, True])
def test_cancelling_ends_the_wait_for_tls_and_for_a_tunnel(through_proxy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = Proxy(f"http://127.0.0.1:{silent.getsockname()[1]}", local=True)
        assert_cancelled("https", silent, proxy=proxy if through_proxy else None)


def assert_cancelled(scheme: str, listener: socket.socket, proxy: Proxy | None) -> None:
    cancellation, ended = transport.Cancellation(), threading.Event()

    def cancel() -> None:
        with contextlib.ExitStack() as accepted:
            if scheme == "https":
                connection = accepted.enter_context(listener.accept()[0])
                assert connection.recv(1)
            while not ended.wait(0.01):
                cancellation.cancel()

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    request = UpstreamRequest("GET", f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/", (), b"")
    with transport.cancellable(cancellation), pytest.raises(UpstreamUnreachable) as caught:
        transport.send(request, session="opening", connect_timeout=60, answer_timeout=60, proxy=proxy)
    ended.set()
    cancelling.join()
    assert not caught.value.sent


def test_cancelling_late_leaves_a_connection_that_was_given_back(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(OK))
    cancellation = transport.Cancellation()
    with transport.cancellable(cancellation):
        first = send(request_to(server), "late")
        read_out(first)
    first.close()
    cancellation.cancel()
    second = send(request_to(server), "late")
    assert read_out(second) == b"ok"
    second.close()
    assert server.connections == 1


def test_a_redirect_is_an_answer_and_is_not_followed(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"))
    response = send(request_to(server), "redirect")
    assert response.status == 302
    response.close()
    assert len(server.requests) == 1


def test_cookies_stay_with_their_session_and_host(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\nset-cookie: __edge=1; path=/\r\ncontent-length: 0\r\n\r\n"))
    send(request_to(server), "cookies").close()
    url = f"http://127.0.0.1:{server.port}/other"
    assert transport.cookie_header("cookies", url) == "__edge=1"
    assert transport.cookie_header("cookies", "http://localhost/other") is None
    assert transport.cookie_header("another", url) is None


def test_a_cookie_that_ends_or_is_replaced_is_not_said_again(serve: Callable[[Handler], RawServer]) -> None:
    lines = [b"a=1; max-age=100", b"a=2; max-age=100", b"a=; max-age=0"]
    server = serve(
        lambda connection, _: connection.sendall(
            b"HTTP/1.1 200 OK\r\nset-cookie: " + lines.pop(0) + b"\r\ncontent-length: 0\r\n\r\n"
        )
    )
    url, said = f"http://127.0.0.1:{server.port}/path", []
    for _ in range(3):
        send(request_to(server), "changing").close()
        said += [transport.cookie_header("changing", url) for _ in range(2)]
    assert said == ["a=1", "a=1", "a=2", "a=2", None, None]


def test_a_cookie_is_said_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_700_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    jar, url = Cookies(), "https://upstream.example/path"
    jar.take(url, Headers((("set-cookie", "a=1; max-age=100"),)))
    assert (jar.header(url), jar.header(url)) == ("a=1", "a=1")
    now[0] += 101
    assert (jar.header(url), jar.header(url)) == (None, None)


def test_no_answer_is_told_by_kind_and_names_no_secret() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    request = UpstreamRequest("POST", f"http://127.0.0.1:{port}/", (("authorization", "Bearer SENTINEL"),), b"")
    with pytest.raises(UpstreamUnreachable) as caught:
        send(request, "nobody")
    assert "SENTINEL" not in repr(caught.value)
    assert "SENTINEL" not in repr(request)
    assert "ConnectionRefusedError" in str(caught.value)


def test_a_head_in_single_bytes_is_understood(serve: Callable[[Handler], RawServer]) -> None:
    def handler(connection: socket.socket, _: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(OK)):
            connection.sendall(OK[position : position + 1])

    response = send(request_to(serve(handler)), "dribble")
    assert (response.status, read_out(response)) == (200, b"ok")
    response.close()


def test_a_kept_connection_that_ended_meanwhile_is_replaced(serve: Callable[[Handler], RawServer]) -> None:
    ended = threading.Event()

    def handler(connection: socket.socket, _: bytes) -> None:
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        ended.set()

    server = serve(handler)
    for _ in range(2):
        ended.clear()
        response = send(request_to(server), "ended")
        assert read_out(response) == b"ok"
        assert ended.wait(20)
        response.close()
    assert server.connections == 2


def on_second(second: Handler) -> Handler:
    """Answers well, and as `second` does to the second request of a connection."""
    met: set[int] = set()

    def handler(connection: socket.socket, held: bytes) -> None:
        if id(connection) in met:
            second(connection, held)
        else:
            met.add(id(connection))
            connection.sendall(OK)

    return handler


def test_a_kept_connection_that_ends_as_it_is_used_is_replaced_once(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(on_second(lambda connection, _: connection.shutdown(socket.SHUT_RDWR)))
    for _ in range(2):
        response = send(request_to(server), "crossed")
        assert read_out(response) == b"ok"
        response.close()
    assert (server.connections, len(server.requests)) == (2, 3)


def test_what_may_be_heard_once_only_uses_no_kept_connection_and_is_not_sent_again(
    serve: Callable[[Handler], RawServer],
) -> None:
    server = serve(answering(OK))
    kept = send(request_to(server), "once")
    read_out(kept)
    kept.close()
    for connections in (2, 3):
        response = transport.send(request_to(server), session="once", connect_timeout=5, answer_timeout=20, once=True)
        assert read_out(response) == b"ok"
        response.close()
        assert server.connections == connections
    server.handler = lambda connection, _: connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(UpstreamUnreachable):
        transport.send(request_to(server), session="once", connect_timeout=5, answer_timeout=20, once=True)
    assert (server.connections, len(server.requests)) == (4, 4)


@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 200 OK\r\n"])
def test_a_request_that_was_answered_in_part_is_not_sent_again(serve: Callable[[Handler], RawServer], said: bytes) -> None:
    def says_little(connection: socket.socket, _: bytes) -> None:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)

    server = serve(on_second(says_little))
    response = send(request_to(server), "partly")
    read_out(response)
    response.close()
    with pytest.raises(UpstreamUnreachable) as caught:
        send(request_to(server), "partly")
    assert caught.value.sent
    assert len(server.requests) == 2


def test_a_new_connection_that_ends_without_an_answer_is_not_replaced(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(lambda connection, _: connection.shutdown(socket.SHUT_RDWR))
    with pytest.raises(UpstreamUnreachable):
        send(request_to(server), "new")
    assert len(server.requests) == 1


@pytest.mark.parametrize("used", [False, True])
def test_an_answer_before_the_whole_request_was_read_is_the_answer(serve: Callable[[Handler], RawServer], used: bool) -> None:
    def refuses(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        connection.close()  # with much unread, so that what is still being sent meets a reset

    server = serve(on_second(refuses) if used else refuses)
    session = f"early {used}"
    if used:
        first = send(request_to(server), session)
        read_out(first)
        first.close()
    small = request_to(server)
    large = b"body" + b"x" * 20_000_000
    headers = (small.headers[0], ("content-length", str(len(large))))
    response = send(UpstreamRequest("POST", small.url, headers, large), session)
    assert (response.status, read_out(response)) == (413, b"no")
    response.close()
    assert (server.connections, len(server.requests)) == (1, 1 + used)
    send(small, session).close()
    assert server.connections == 2


@pytest.mark.parametrize("line", [("x-a", "b\r\nx-c: d"), ("x-a\nx-c", "d"), ("x-a", "b\0"), ("x-a", "\u20ac")])
def test_a_line_that_would_be_two_goes_nowhere(serve: Callable[[Handler], RawServer], line: tuple[str, str]) -> None:
    server = serve(answering(OK))
    with pytest.raises(UpstreamUnreachable) as caught:
        send(request_to(server, (line,)), "split")
    assert not caught.value.sent
    assert server.connections == 0


def test_interim_heads_are_passed_over(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK))
    response = send(request_to(server), "interim")
    assert (response.status, read_out(response)) == (200, b"ok")
    response.close()


def test_a_header_of_another_alphabet_is_no_control_character(serve: Callable[[Handler], RawServer]) -> None:
    server = serve(answering(b"HTTP/1.1 200 OK\r\nx-a:\tcaf\xc3\xa9 \x80\tb\r\ncontent-length: 0\r\n\r\n"))
    response = send(request_to(server), "alphabet")
    assert response.headers.get("x-a") == b"caf\xc3\xa9 \x80\tb".decode("latin-1")
    response.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nodd name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nodd\nx-a: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\rx-c: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 600 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: " + b"b" * 300_000,
        b"HTTP/1.1 200 OK\r\nx-a: b\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\x1b[31m\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\x7f\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_head_that_is_none_is_no_answer(serve: Callable[[Handler], RawServer], head: bytes) -> None:
    with pytest.raises(UpstreamUnreachable) as caught:
        send(request_to(serve(answering(head))), "odd")
    assert caught.value.sent


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: x-other, Close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokmore",
    ],
)
def test_a_connection_that_may_not_be_kept_is_closed(serve: Callable[[Handler], RawServer], head: bytes) -> None:
    server = serve(answering(head))
    for _ in range(2):
        response = send(request_to(server), "unkept")
        assert read_out(response) == (b"" if response.status == 204 else b"ok")
        response.close()
    assert server.connections == 2

"""What callers may take is bounded: how many are served at once, how slowly they may send, how little they may read."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from floway.providers.codex.simulated.backend import frame
from floway.providers.codex.simulated.http import Exchange
from tests.fakes import faults
from tests.fakes import socket as websocket
from tests.fakes.caller import Caller, Reply, turn
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream, Fault


@pytest.fixture(scope="module")
def narrow(served: Served) -> Iterator[Served]:
    """A server that serves two at once, lets one more wait, and has a second's patience."""
    server = served.sibling(FLOWAY_MAX_STREAMS="2", FLOWAY_MAX_QUEUE="1", FLOWAY_REQUEST_SECONDS="1")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def caller(narrow: Served, upstream: FakeUpstream) -> Caller:
    return Caller(narrow.url, narrow.key)


def connected(caller: Caller) -> socket.socket:
    parts = urlsplit(caller.url)
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=30)


def everything(sock: socket.socket) -> bytes:
    answer = b""
    while data := sock.recv(65536):
        answer += data
    return answer


def envelope_of(answer: bytes) -> tuple[int, dict[str, str], dict[str, object]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split(" ")[1]), headers, json.loads(body)["error"]


@contextmanager
def all_places_taken(caller: Caller, upstream: FakeUpstream) -> Iterator[Callable[[], list[int]]]:
    """Two turns are being served; yields what lets them end and tells their statuses."""
    gates = [faults.Gate(), faults.Gate()]
    upstream.script(*(faults.gated(gate, after=9) for gate in gates))
    with ThreadPoolExecutor(2) as pool:
        served = [pool.submit(caller.say, "served") for _ in gates]
        for gate in gates:
            assert gate.reached.wait(30)

        def let_go() -> list[int]:
            for gate in gates:
                gate.open()
            return [call.result().status for call in served]

        yield let_go


def test_who_comes_when_all_places_are_taken_waits_or_is_told_when_to_come(caller: Caller, upstream: FakeUpstream) -> None:
    with all_places_taken(caller, upstream) as let_go, ThreadPoolExecutor(10) as pool:
        burst = [pool.submit(caller.say, "later") for _ in range(10)]
        refused = _the_first(burst, 9)
        assert caller.get("/readyz").status == 200, "whoever looks after it gets in"
        assert caller.get("/admin/login/").status == 200
        assert caller.get("/administration").status == 503, "which is no page of the admin's"
        assert let_go() == [200, 200]
        answers = [call.result() for call in burst]
    assert sorted(reply.status for reply in answers) == [200] + [503] * 9
    for reply in refused:
        assert reply.error["code"] == "slow_down"
        assert 1 <= int(reply.headers["retry-after"]) <= 5
        assert reply.headers["x-request-id"].startswith("req_")


def _the_first(calls: list, count: int) -> list[Reply]:
    """As many answers as come while the others wait."""
    done = threading.Semaphore(0)
    for call in calls:
        call.add_done_callback(lambda _: done.release())
    for _ in range(count):
        assert done.acquire(timeout=30)
    return [call.result() for call in calls if call.done()]


def test_a_refusal_leaves_a_kept_connection_in_step(caller: Caller, upstream: FakeUpstream) -> None:
    gates = [faults.Gate(), faults.Gate()]
    upstream.script(*(faults.gated(gate, after=9) for gate in gates))
    with ThreadPoolExecutor(4) as pool:
        served = [pool.submit(caller.say, "served") for _ in gates]
        for gate in gates:
            assert gate.reached.wait(30)
        others = [pool.submit(caller.say, "waits, or finds the place to wait taken") for _ in range(2)]
        assert _the_first(others, 1)[0].status == 503
        kept = caller._connect()
        kept.request("POST", "/v1/responses", json.dumps(turn("x" * 300_000)), caller.headers({}))
        answer = kept.getresponse()
        assert answer.status == 503
        answer.read()
        for gate in gates:
            gate.open()
        assert [call.result().status for call in served] == [200] * 2
        kept.request("POST", "/v1/responses", json.dumps(turn("now")), caller.headers({}))
        assert kept.getresponse().status == 200
        kept.close()


def test_who_leaves_while_it_waits_is_not_served(caller: Caller, upstream: FakeUpstream) -> None:
    with all_places_taken(caller, upstream) as let_go:
        waiting = caller._connect()
        waiting.request("POST", "/v1/responses", json.dumps(turn("impatient")), caller.headers({}))
        assert caller.say("finds the place to wait taken").status == 503
        waiting.close()
        assert let_go() == [200, 200]
    assert caller.say("patient").status == 200
    assert [body["input"][-1]["content"][0]["text"] for body in upstream.bodies] == ["served", "served", "patient"]


def test_a_websocket_takes_a_place_while_a_turn_runs_on_it_and_no_longer(caller: Caller, upstream: FakeUpstream) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(websocket.opened(caller)) for _ in range(3)]
        assert caller.say("three are open, and two may be served").status == 200
        gates = [faults.Gate(), faults.Gate()]
        upstream.script(*(faults.gated(gate, after=9) for gate in gates))
        for gate, sock in zip(gates, sockets, strict=False):
            sock.create("takes a place")
            assert gate.reached.wait(30)
        waiting = caller._connect()
        waiting.request("POST", "/v1/responses", json.dumps(turn("waits")), caller.headers({}))
        assert caller.say("finds the place to wait taken").status == 503
        sockets[2].create("finds it taken, too")
        refusal = next(sockets[2].events())
        assert (refusal["status"], refusal["error"]["code"]) == (503, "slow_down")
        for gate in gates:
            gate.open()
        assert waiting.getresponse().status == 200
        waiting.close()
        assert [sock.result()["status"] for sock in sockets[:2]] == ["completed"] * 2
        sockets[2].create("comes again")
        assert sockets[2].result()["status"] == "completed"


@pytest.mark.parametrize("framing", ["content-length: 100000000", "transfer-encoding: chunked"])
def test_a_body_that_nobody_reads_is_not_dropped_without_end(caller: Caller, framing: str) -> None:
    with connected(caller) as sock:
        sock.sendall(f"POST /v1/nothing HTTP/1.1\r\nhost: 127.0.0.1\r\n{framing}\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 404 ")
        piece = b"10000\r\n%b\r\n" % (b"x" * 65536)
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                sock.sendall(piece)


@pytest.mark.parametrize("sent", ["POST /v1/responses HTTP/1.1\r\nhost: 127", "the key and a length, then a byte"])
def test_who_stops_sending_is_given_up(caller: Caller, upstream: FakeUpstream, sent: str) -> None:
    if sent.startswith("the key"):
        sent = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {caller.key}\r\ncontent-length: 99\r\n\r\n{{"
    with connected(caller) as sock:
        sock.sendall(sent.encode())
        status, headers, error = envelope_of(everything(sock))
    assert (status, error["code"], headers["connection"]) == (408, "request_timeout", "close")
    assert headers["x-request-id"].startswith("req_")
    assert upstream.turns == []


def test_a_body_that_nobody_reads_must_come_in_time_too(caller: Caller, upstream: FakeUpstream) -> None:
    """Taken for a next request once patience with an idle connection ends, it would be answered as one."""
    with connected(caller) as sock:
        sock.sendall(b"POST /v1/nothing HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2000\r\n\r\n")
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1 ") == 1, "a second answer would be taken for the next request's"


@pytest.mark.parametrize("body", ["Content-Length: 1000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\nZZ\r\n"])
def test_a_request_that_was_refused_is_not_answered_again_for_its_body(
    caller: Caller, upstream: FakeUpstream, body: str
) -> None:
    with connected(caller) as sock:
        sock.sendall(f"POST /v1/responses HTTP/1.1\r\nHost: {urlsplit(caller.url).netloc}\r\n{body}".encode())
        answer = everything(sock)
    assert answer.startswith(b"HTTP/1.1 401")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("chunks", ["ZZ\r\n", "5", "5\r\nab", "2\r\n{}\r\n0\r\n"])
def test_chunks_that_are_none_or_cut_are_the_callers_mistake(caller: Caller, upstream: FakeUpstream, chunks: str) -> None:
    head = f"POST /v1/responses HTTP/1.1\r\nHost: {urlsplit(caller.url).netloc}\r\nx-api-key: {caller.key}\r\n"
    with connected(caller) as sock:
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{chunks}".encode())
        sock.shutdown(socket.SHUT_WR)
        status, headers, error = envelope_of(everything(sock))
    assert (status, error["code"], headers["connection"]) == (400, "invalid_http", "close")


@pytest.mark.parametrize(("length", "connection"), [(1_000_000, "keep-alive"), (2_000_000, "close")])
def test_an_answer_says_that_the_rest_of_a_body_is_too_much_to_drop(caller: Caller, length: int, connection: str) -> None:
    with connected(caller) as sock:
        sock.sendall(f"POST /v1/nothing HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        status, headers, _ = envelope_of(everything(sock))
    assert (status, headers["connection"]) == (404, connection)


def test_what_cannot_be_read_is_answered_in_the_envelope(caller: Caller, upstream: FakeUpstream) -> None:
    with connected(caller) as sock:
        sock.sendall(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}")
        status, headers, error = envelope_of(everything(sock))
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_http")
    assert headers["x-request-id"].startswith("req_")


def endless(stuck: threading.Event, parting: faults.Parting) -> Fault:
    """Says more and more, for as long as somebody takes it."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        exchange.begin(upstream.headers())
        exchange._socket.settimeout(1)
        data = frame({"type": "response.output_text.delta", "delta": "x" * 8000, "output_index": 0, "content_index": 0})
        try:
            for _ in range(16_000):
                exchange.chunk(data)
        except TimeoutError:
            stuck.set()
            exchange._socket.settimeout(None)
            exchange.watch()
            exchange.left.wait(30)
            parting.left.set()

    return answer


def test_who_does_not_read_holds_up_the_upstream_and_nobody_else(caller: Caller, upstream: FakeUpstream) -> None:
    stuck, parting = threading.Event(), faults.Parting()
    upstream.script(endless(stuck, parting))
    body = json.dumps(turn("hello", stream=True))
    head = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {caller.key}\r\ncontent-length: {len(body)}\r\n\r\n"
    with connected(caller) as sock:
        sock.sendall((head + body).encode())
        assert stuck.wait(30), "128 MB went somewhere"
        assert caller.say("another").status == 200
    assert parting.left.wait(30)


def test_who_sends_requests_without_waiting_leaves_others_their_turn(caller: Caller, upstream: FakeUpstream) -> None:
    one = f"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {caller.key}\r\n\r\n".encode()
    answered, tail = 0, b""
    with connected(caller) as sock, ThreadPoolExecutor(1) as pool:
        sock.sendall(one * (sent := 300))
        other = pool.submit(caller.get, "/v1/models")
        while not other.done() and answered < 5_000:
            if sent - answered < 300:
                sock.sendall(one * 100)
                sent += 100
            data = tail + sock.recv(65536)
            answered, tail = answered + data.count(b"\r\n\r\n"), data[-3:]
        assert other.done(), "it waits until nobody else asks"
        assert other.result().status == 200


def test_a_body_in_the_smallest_pieces_leaves_others_their_turn(caller: Caller, upstream: FakeUpstream) -> None:
    body = json.dumps(turn("x" * 300_000)).encode()
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {caller.key}\r\n"
    with connected(caller) as sock:
        sock.sendall(f"{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode() + pieces + b"0\r\n\r\n")
        assert caller.say("another").status == 200
        assert everything(sock).startswith(b"HTTP/1.1 200 ")
    assert [len(json.dumps(request.json)) > 300_000 for request in upstream.turns] == [False, True]


def test_pings_without_end_leave_others_their_turn(caller: Caller, upstream: FakeUpstream) -> None:
    with websocket.opened(caller) as socket:
        socket.raw(b"\x89\x80\0\0\0\0" * 40_000)
        socket.create("behind the pings")
        assert [caller.say("another").status for _ in range(3)] == [200, 200, 200]
        assert socket.result()["status"] == "completed"
    assert ["another" in json.dumps(request.json) for request in upstream.turns] == [True, True, True, False]

"""A server that is told to end: it says so first, loses no request, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes import faults
from tests.fakes import socket as websocket
from tests.fakes.balancer import Balancer, _address
from tests.fakes.caller import Caller, turn
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import until

IN_FLIGHT = "Exchange.objects.in_flight().count()"


@contextmanager
def running(server: Served) -> Iterator[Served]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_told_to_end_it_says_so_goes_on_and_then_lets_streams_end(served: Served, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=9))
    with running(served.sibling(FLOWAY_DRAIN_SECONDS="4")) as server:
        caller = Caller(server.url, server.key)
        with caller.stream(turn("hello")) as stream, websocket.opened(caller) as open_socket:
            stream.next("response.output_text.delta")
            idle = http.client.HTTPConnection(*_address(server.url), timeout=20)
            idle.connect()
            server.terminate()
            until(lambda: caller.get("/readyz").status == 503)
            late = caller.say("in good time")
            assert (late.status, late.headers["connection"]) == (200, "close")
            assert idle.sock.recv(1) == b"", "it has nothing to say, and is let go when the door closes"
            idle.close()
            assert open_socket.ended() == 1001, "a WebSocket on which no turn runs"
            with pytest.raises(OSError, match="refused"):
                caller.get("/readyz")
            assert served.ask("Worker.objects.filter(draining=True).count()") == "1"
            gate.open()
            assert [event["type"] for event in stream.events()][-1] == "response.completed"
        assert server.ends_by_itself(60)
        assert "Traceback" not in "".join(server.output)
    assert served.ask(f"Worker.objects.count(), {IN_FLIGHT}") == "1 0"


def test_interrupted_it_ends_quietly_and_what_it_cut_is_written(served: Served, upstream: FakeUpstream) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(9, parting))
    with running(served.sibling()) as server:
        caller = Caller(server.url, server.key)
        with caller.stream(turn("hello")) as stream:
            stream.next("response.output_text.delta")
            request_id = stream.headers["x-request-id"]
            server.interrupt()
            assert server.ends_by_itself(60)
        said = "".join(server.output)
        assert "Traceback" not in said
        assert "SystemExit" not in said
    ended = served.ask(f"Exchange.objects.values_list('status', 'ended_by').get(request_id='{request_id}')")
    assert ended == "('failed', 'lost')"


class Calling(threading.Thread):
    """Calls again and again until told to stop; every answer must be whole."""

    def __init__(self, url: str, key: str, *, streamed: bool, keeps: bool) -> None:
        super().__init__(daemon=True)
        self._target, self._key, self._streamed, self._keeps = _address(url), key, streamed, keeps
        self.failures: list[str] = []
        self.answered = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._target, timeout=30)
        while not self.stopped.is_set():
            try:
                self._call(connection)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"kept {self._keeps}, after {self.answered}: {error!r}")
                connection.close()
            if not self._keeps:
                connection.close()
        connection.close()

    def _call(self, connection: http.client.HTTPConnection) -> None:
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()  # it was ended meanwhile: what every client looks at before it uses one again
        body = json.dumps(turn("hello", stream=self._streamed))
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        connection.request("POST", "/v1/responses", body, headers)
        answer = connection.getresponse()
        whole = answer.read()
        if answer.status == 200 and (b"response.completed" if self._streamed else b'"completed"') in whole:
            self.answered += 1
        else:
            self.failures.append(f"{answer.status} {whole[-200:]!r}")


def test_servers_restarted_one_after_the_other_under_load_lose_no_request(served: Served, upstream: FakeUpstream) -> None:
    servers = [served.sibling(FLOWAY_DRAIN_SECONDS="1") for _ in range(2)]
    balancer = Balancer()
    callers = [Calling(balancer.url, served.key, streamed=kept, keeps=kept) for kept in (True, False)]
    try:
        for server in servers:
            server.start()
            balancer.backends.append(server.url)
            balancer.wait_until_ready(server.url)
        for caller in callers:
            caller.start()
        servers.append(served.sibling(FLOWAY_DRAIN_SECONDS="1"))
        servers[0].terminate()
        assert servers[0].ends_by_itself(60)
        servers[2].start()
        balancer.backends[0] = servers[2].url
        balancer.wait_until_ready(servers[2].url)
        servers[1].terminate()
        assert servers[1].ends_by_itself(60)
    finally:
        for caller in callers:
            caller.stopped.set()
        for caller in callers:
            caller.join(30)
        balancer.close()
        for server in servers:
            server.stop()
    assert [failure for caller in callers for failure in caller.failures] == []
    assert min(caller.answered for caller in callers) > 5
    assert served.ask(IN_FLIGHT) == "0"

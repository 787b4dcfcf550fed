"""A caller who leaves takes the upstream along; shown on the server as it is shipped."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream


def test_the_upstream_is_let_go_while_it_is_silent_in_mid_stream(
    served: Served, served_caller: Caller, upstream: FakeUpstream
) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(9, parting))
    with served_caller.stream(turn("hello")) as stream:
        request_id = stream.headers["x-request-id"]
        stream.next("response.output_text.delta")
        assert parting.waiting.wait(10)
    left_at = time.monotonic()
    assert parting.left.wait(10)
    assert time.monotonic() - left_at < 1, "the bench shows 100 ms; this machine may be busy"
    assert row(served, request_id) == "('failed', 'caller')"


def test_the_upstream_is_let_go_before_it_said_anything(served: Served, served_caller: Caller, upstream: FakeUpstream) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_before_the_head(parting))
    connection = served_caller._connect()
    connection.request("POST", "/v1/responses", b'{"model":"gpt-5.5","input":"x","stream":true}', served_caller.headers({}))
    assert parting.waiting.wait(10)
    connection.close()
    assert parting.left.wait(10)


def test_the_upstream_is_let_go_when_nobody_waits_for_the_whole_answer(
    served: Served, served_caller: Caller, upstream: FakeUpstream
) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(5, parting))
    connection = served_caller._connect()
    connection.request("POST", "/v1/responses", b'{"model":"gpt-5.5","input":"x"}', served_caller.headers({}))
    assert parting.waiting.wait(10)
    connection.close()
    assert parting.left.wait(10)


def test_who_left_before_its_turn_began_takes_nothing(served: Served, served_caller: Caller, upstream: FakeUpstream) -> None:
    body = b'{"model":"gpt-5.5","input":"gone","stream":true}'
    lines = "".join(f"{name}: {value}\r\n" for name, value in served_caller.headers({}).items())
    parts = urlsplit(served_caller.url)
    with socket.create_connection((parts.hostname, parts.port or 0)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # so that the request and the connection's end come together
        head = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
    assert served_caller.say("stays").status == 200
    assert len(upstream.turns) == 1
    left = (
        "Exchange.objects.filter(error_code='caller_left', http_status=499).values_list('status', 'ended_by', 'conversation')"
    )
    assert served.ask(f"list({left})") == "[('refused', 'caller', None)]"


def row(served: Served, request_id: str) -> str:
    """How the exchange ended; asking takes long enough for it to be written."""
    ended = ""
    for _ in range(10):
        ended = served.ask(f"Exchange.objects.values_list('status', 'ended_by').get(request_id='{request_id}')")
        if "in_flight" not in ended:
            break
    return ended

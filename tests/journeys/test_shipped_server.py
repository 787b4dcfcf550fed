"""What only the shipped server can show: ambiguous requests, its own headers, its life."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from tests.fakes.caller import Caller, text_of, turn
from tests.fakes.served import Served
from tests.fakes.upstream import FakeUpstream

BODY = b'{"model":"gpt-5.5","input":"hello"}'


def raw(caller: Caller, head: str, body: bytes = BODY) -> bytes:
    parts = urlsplit(caller.url)
    lines = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {caller.key}\r\nconnection: close\r\n{head}\r\n"
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as sock:
        sock.sendall(lines.encode("latin-1") + body)
        answer = b""
        while data := sock.recv(65536):
            answer += data
        return answer


def test_it_answers_whole_and_streamed_and_continues(served_caller: Caller, upstream: FakeUpstream) -> None:
    first = served_caller.say("one")
    assert first.status == 200, first.body
    assert '"one"' in text_of(served_caller.say("two", previous=first.json["id"]).json)
    with served_caller.stream(turn("three")) as stream:
        assert list(stream.events())[-1]["type"] == "response.completed"


AMBIGUOUS = {
    "two lengths": f"content-length: {len(BODY)}\r\ncontent-length: {len(BODY) + 1}\r\n",
    "length and chunks": f"content-length: {len(BODY)}\r\ntransfer-encoding: chunked\r\n",
    "chunks twice": "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "chunks by another name": "transfer-encoding: xchunked\r\n",
    "a length that is no number": "content-length: +5\r\n",
    "a negative length": "content-length: -5\r\n",
    "a folded line": f"x-a: b\r\n c: d\r\ncontent-length: {len(BODY)}\r\n",
    "a name with a space": f"x-a : b\r\ncontent-length: {len(BODY)}\r\n",
    "a NUL in a value": f"session-id: a\0b\r\ncontent-length: {len(BODY)}\r\n",
    "a bare CR in a value": f"session-id: a\rb\r\ncontent-length: {len(BODY)}\r\n",
}


@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_request_that_two_servers_could_read_differently_reaches_no_upstream(
    served_caller: Caller, upstream: FakeUpstream, head: str
) -> None:
    answer = raw(served_caller, head)
    assert not answer.startswith(b"HTTP/1.1 200"), answer
    assert upstream.turns == []


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(served_caller: Caller, upstream: FakeUpstream) -> None:
    answer = raw(served_caller, f"expect: 100-continue\r\ncontent-length: {len(BODY)}\r\n")
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200 " in answer


def test_a_session_with_an_underscore_is_heard_but_a_hyphen_wins(served_caller: Caller, upstream: FakeUpstream) -> None:
    length = f"content-length: {len(BODY)}\r\n"
    assert b" 200 " in raw(served_caller, f"session_id: 0198f2a0-0000-7000-8000-00000000000a\r\n{length}")
    both = "session_id: 0198f2a0-0000-7000-8000-00000000000b\r\nsession-id: 0198f2a0-0000-7000-8000-00000000000c\r\n"
    assert b" 200 " in raw(served_caller, both + length)
    assert [request.header("session-id") for request in upstream.turns] == [
        "0198f2a0-0000-7000-8000-00000000000a",
        "0198f2a0-0000-7000-8000-00000000000c",
    ]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_it_says_that_it_lives_and_is_ready(served_caller: Caller, path: str) -> None:
    reply = served_caller.get(path)
    assert reply.status == 200
    assert reply.headers["x-request-id"].startswith("req_")


def test_the_admin_asks_for_a_login_and_there_is_no_default_account(served: Served, served_caller: Caller) -> None:
    assert served_caller.get("/admin/").status == 302
    assert served_caller.get("/admin/login/").status == 200
    assert served.ask("__import__('django.contrib.auth').contrib.auth.get_user_model().objects.count()") == "0"
    assert any("createsuperuser" in line for line in served.output)


def test_its_log_tells_of_requests_without_any_secret(served: Served, served_caller: Caller) -> None:
    served_caller.say("canary-words")
    assert served_caller.key not in "".join(served.output)
    assert "canary-words" not in "".join(served.output)

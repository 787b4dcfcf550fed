"""Header lines: what goes out is built from nothing, what comes back is chosen."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from tests.conftest import Gateway
from tests.fakes.caller import turn
from tests.fakes.invariants import ORDER
from tests.fakes.upstream import FakeUpstream

FORGED = {
    "authorization": "Bearer canary-login",
    "cookie": "canary=1",
    "chatgpt-account-id": "canary-account",
    "x-codex-turn-state": "canary-state",
    "x-codex-routing-hint": "canary-hint",
    "x-codex-other": "canary",
    "x-openai-account-routing-override": "canary",
    "x-openai-fedramp": "canary",
    "x-oai-attestation": "canary",
    "openai-organization": "canary",
    "openai-project": "canary",
    "openai-beta": "canary",
    "originator": "canary",
    "user-agent": "canary/1.0",
    "version": "9.canary",
    "forwarded": "for=canary",
    "x-forwarded-for": "10.0.0.1, canary",
    "x-forwarded-host": "canary.example",
    "x-forwarded-proto": "https",
    "x-real-ip": "canary",
    "true-client-ip": "canary",
    "cf-connecting-ip": "canary",
    "cf-ray": "canary",
    "via": "1.1 canary",
    "referer": "http://canary.example/",
    "origin": "http://canary.example",
    "sec-fetch-mode": "canary",
    "traceparent": "00-canary",
    "baggage": "canary=1",
    "x-floway-account": "canary",
    "x-floway-underscored": '[["session-id","canary"]]',
    "x_floway_account": "canary",
    "x-http-method-override": "DELETE",
    "accept-encoding": "canary",
    "accept-language": "canary",
    "connection": "x-canary-hop, close",
    "x-canary-hop": "canary",
    "te": "trailers",
    "proxy-authorization": "Basic canary",
}


def raw(gateway: Gateway, head: bytes, body: bytes = b"") -> bytes:
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as sock:
        sock.sendall(head + body)
        answer = b""
        while data := sock.recv(65536):
            answer += data
        return answer


def test_the_header_lines_are_the_official_clients_in_its_order_and_no_others(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("hello")
    names = [name for name, _ in upstream.turns[0].headers]
    required = [
        "version",
        "x-codex-beta-features",
        "x-codex-window-id",
        "x-codex-turn-metadata",
        "x-codex-routing-hint",
        "x-client-request-id",
        "session-id",
        "thread-id",
        "accept",
        "content-encoding",
        "content-type",
        "authorization",
        "chatgpt-account-id",
        "originator",
        "user-agent",
        "content-length",
    ]
    sent = [name.lower() for name in names if name.lower() != "host"]
    assert sent == [name for name in ORDER if name in required]


def test_the_values_are_what_the_request_is(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("hello")
    request = upstream.turns[0]
    assert request.header("accept") == "text/event-stream"
    assert request.header("content-type") == "application/json"
    assert request.header("content-length") == str(len(request.body))
    assert request.header("x-codex-routing-hint") == "model=gpt-5.5"
    assert (request.header("user-agent") or "").find(request.header("version") or "-") > 0
    assert (request.header("user-agent") or "").isascii()


def test_no_header_of_the_callers_passes_as_it_came(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.send("POST", "/v1/responses", b'{"model":"gpt-5.5","input":"hello"}', {**FORGED, "x-api-key": gateway.key})
    assert reply.status == 200, reply.body
    request = upstream.turns[0]
    assert "canary" not in str(request.headers)
    assert "canary" not in request.json["client_metadata"]["x-codex-turn-metadata"]
    assert "canary" not in str(reply.headers)


@pytest.mark.parametrize("name", ["session-id", "thread-id", "x-client-request-id", "x-codex-window-id"])
@pytest.mark.parametrize("value", [b"caf\xe9", b"tab\there", b"x" * 257, "日本".encode(), b"bell\x07"])
def test_an_id_that_cannot_stand_in_a_header_is_400_and_named(
    gateway: Gateway, upstream: FakeUpstream, name: str, value: bytes
) -> None:
    body = b'{"model":"gpt-5.5","input":"hello"}'
    head = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {gateway.key}\r\ncontent-length: {len(body)}\r\n"
    answer = raw(gateway, head.encode() + name.encode() + b": " + value + b"\r\n\r\n", body)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert upstream.turns == []


@pytest.mark.parametrize("name", ["session_id", "thread_id", "turn_id", "x-codex-window-id", "x-codex-installation-id"])
@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\u0085b", "é", "x" * 257])
def test_an_id_in_the_body_that_cannot_stand_in_a_header_is_400(
    gateway: Gateway, upstream: FakeUpstream, name: str, value: str
) -> None:
    reply = gateway.say("hello", client_metadata={name: value})
    assert reply.status == 400, reply.body
    assert reply.error["param"]
    assert upstream.turns == []


def test_a_model_with_a_line_break_is_never_written_into_a_header(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.say("hello", model="gpt-5.5\r\nx-evil: 1")
    assert reply.status in {400, 404}
    assert all(name != "x-evil" for request in upstream.turns for name, _ in request.headers)


def test_turn_metadata_that_is_not_ascii_goes_out_escaped(gateway: Gateway, upstream: FakeUpstream) -> None:
    metadata = '{"workspaces":{"/home/ü/日本":{}}}'
    assert gateway.say("hello", client_metadata={"x-codex-turn-metadata": metadata}).status == 200
    header = upstream.turns[0].header("x-codex-turn-metadata") or ""
    assert header.isascii()
    assert "\\u65e5" in header


def test_the_upstreams_own_headers_do_not_reach_the_caller(gateway: Gateway) -> None:
    with gateway.stream(turn("hello")) as stream:
        list(stream.events())
        names = set(stream.headers)
    assert names <= {
        "allow",
        "cache-control",
        "connection",
        "content-type",
        "cross-origin-opener-policy",
        "date",
        "referrer-policy",
        "server",
        "transfer-encoding",
        "vary",
        "x-accel-buffering",
        "x-content-type-options",
        "x-frame-options",
        "x-request-id",
    }


def test_cookies_of_the_edge_are_kept_for_the_credential_and_sent_back(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("one")
    gateway.say("two")
    assert (upstream.turns[1].header("cookie") or "__cf_bm=simulated") == "__cf_bm=simulated"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.1@evil.example"])
def test_a_host_that_is_not_ours_is_refused(gateway: Gateway, host: str) -> None:
    reply = gateway.get("/v1/models", host=host)
    assert reply.status == 400
    assert host not in reply.body.decode()


@pytest.mark.parametrize(
    "path", ["//v1/models", "/v1/../admin/", "/v1/%2e%2e/admin/", "/v1//models", "http://evil.example/v1/models"]
)
def test_odd_paths_lead_nowhere(gateway: Gateway, path: str) -> None:
    assert gateway.get(path).status in {400, 404}


def test_a_method_is_not_overridden_by_a_header(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.get("/v1/responses", x_http_method_override="POST").status == 405


def test_loopback_or_a_forwarded_address_is_no_credential(gateway: Gateway) -> None:
    caller = gateway.caller("")
    assert caller.post(turn("hello"), x_forwarded_for="127.0.0.1", x_real_ip="127.0.0.1").status == 401

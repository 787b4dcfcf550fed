"""What can go wrong upstream, each as one scripted answer of the fake upstream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from floway.providers.codex.simulated.backend import frame
from floway.providers.codex.simulated.http import Exchange
from tests.fakes.upstream import FakeUpstream, Fault

EDGE_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking<script>x()</script></body></html>"
_LONGEST_WAIT = 30


class Gate:
    """Stops an answer in mid-stream until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        """The answer stands before the gate."""
        self.opened = threading.Event()

    def open(self) -> None:
        """Let the rest through."""
        self.opened.set()


class Parting:
    """When the gateway closed an exchange."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        """The upstream has fallen silent."""
        self.left = threading.Event()
        """The gateway has closed its side."""


def status(code: int, document: Any, *headers: tuple[str, str]) -> Fault:
    """A JSON refusal."""
    return lambda upstream, exchange, account_id: exchange.answer_json(code, document, headers)


def unauthorized() -> Fault:
    """401: the access token is stale."""
    return status(401, {"error": {"message": "Token is expired.", "type": None, "code": "token_expired", "param": None}})


def token_invalidated() -> Fault:
    """401: the login is dead."""
    message = "Your authentication token has been invalidated. Please try signing in again."
    return status(401, {"error": {"message": message, "type": None, "code": "token_invalidated", "param": None}})


def usage_limit_reached(resets_at: int) -> Fault:
    """429: the subscription is spent."""
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
    document = {"error": {**error, "resets_at": resets_at, "resets_in_seconds": 1234}}
    return status(
        429,
        document,
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", str(resets_at)),
    )


def rate_limited(seconds: int) -> Fault:
    """429: slow down."""
    error = {"message": "Rate limit reached.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    return status(429, {"error": error}, ("retry-after", str(seconds)))


def edge_page(code: int = 403) -> Fault:
    """The edge in front of the service answers, with a page for people."""
    headers = (("content-type", "text/html; charset=UTF-8"), ("cf-ray", "8f00ba4711-FRA"), ("server", "cloudflare"))
    return lambda upstream, exchange, account_id: exchange.answer(code, EDGE_PAGE, headers)


def hang_before_the_head(parting: Parting) -> Fault:
    """Takes the request and says nothing."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        _fall_silent(exchange, parting)

    return answer


def hang_after(count: int, parting: Parting) -> Fault:
    """Falls silent after some events."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        _begin(upstream, exchange, account_id, count)
        _fall_silent(exchange, parting)

    return answer


def cut_after(count: int) -> Fault:
    """Closes between two events."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        _begin(upstream, exchange, account_id, count)
        exchange.cut()

    return answer


def ended_after(count: int) -> Fault:
    """Ends cleanly, but before the terminal event."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        _begin(upstream, exchange, account_id, count)
        exchange.end()

    return answer


def cut_inside_a_chunk(count: int) -> Fault:
    """Closes in the middle of an event, inside a chunk."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        _begin(upstream, exchange, account_id, count)
        half = frame({"type": "response.output_text.delta", "delta": "never whole"})[:25]
        exchange.send(b"%x\r\n%s" % (4096, half))
        exchange.cut()

    return answer


def half_a_status_line() -> Fault:
    """The connection ends within the first line of the answer."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        exchange.send(b"HTTP/1.1 2")
        exchange.cut()

    return answer


def without_content_type() -> Fault:
    """A plain answer whose head does not say what it is."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        exchange.begin([line for line in upstream.headers() if line[0] != "content-type"])
        for event in upstream.events(exchange.request, account_id):
            exchange.chunk(frame(event))
        exchange.end()

    return answer


def in_one_write() -> Fault:
    """A plain answer of a stated length: its last event is its end."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        events = upstream.events(exchange.request, account_id)
        exchange.answer(200, b"".join(frame(event) for event in events), upstream.headers())

    return answer


def byte_by_byte() -> Fault:
    """A plain answer, each byte of it in a chunk and a write of its own."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        exchange.begin(upstream.headers())
        for event in upstream.events(exchange.request, account_id):
            for byte in frame(event):
                exchange.chunk(bytes([byte]))
        exchange.end()

    return answer


def gated(gate: Gate, after: int) -> Fault:
    """A plain answer that waits at a gate after some events."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        rest = _begin(upstream, exchange, account_id, after)
        gate.reached.set()
        gate.opened.wait(_LONGEST_WAIT)
        for event in rest:
            exchange.chunk(frame(event))
        exchange.end()

    return answer


def frames(*raw: bytes) -> Fault:
    """Exactly these bytes, a chunk each."""

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        exchange.begin(upstream.headers())
        for data in raw:
            exchange.chunk(data)
        exchange.end()

    return answer


def overloaded(code: str | None = "server_is_overloaded") -> Fault:
    """Accepts with 200, then fails inside the stream; without a code, without a reason."""
    response: dict[str, Any] = {
        "id": "resp_simulated",
        "object": "response",
        "status": "in_progress",
        "output": [],
        "error": None,
    }
    error = code and {"code": code, "message": "Selected model is at capacity. Please try a different model."}
    failed = {**response, "status": "failed", "error": error}
    return frames(
        frame({"type": "response.created", "sequence_number": 0, "response": response}),
        frame({"type": "response.failed", "sequence_number": 1, "response": failed}),
    )


def _begin(upstream: FakeUpstream, exchange: Exchange, account_id: str, count: int) -> Iterator[dict[str, Any]]:
    exchange.begin(upstream.headers())
    events = upstream.events(exchange.request, account_id)
    for _ in range(count):
        exchange.chunk(frame(next(events)))
    return events


def _fall_silent(exchange: Exchange, parting: Parting) -> None:
    exchange.watch()
    parting.waiting.set()
    exchange.left.wait(_LONGEST_WAIT)
    parting.left.set()

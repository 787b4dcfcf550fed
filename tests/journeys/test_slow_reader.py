"""A caller that reads slowly slows its upstream down; nothing piles up between them."""

from __future__ import annotations

import select
import threading

from floway.providers.codex.simulated.backend import frame
from floway.providers.codex.simulated.http import Exchange
from tests.conftest import Gateway
from tests.fakes.caller import turn
from tests.fakes.upstream import FakeUpstream

PIECE = "x" * 64 * 1024
MOST = 2048
"""Pieces, 128 MB: several times what the sockets on the way hold."""
FULL_SECONDS = 1


def test_an_upstream_waits_for_a_caller_that_does_not_read(gateway: Gateway, upstream: FakeUpstream) -> None:
    full = threading.Event()
    sent: list[int] = []

    def answer(upstream: FakeUpstream, exchange: Exchange, account_id: str) -> None:
        exchange.begin(upstream.headers())
        *events, last = upstream.events(exchange.request, account_id)
        at = next(index for index, event in enumerate(events) if event["type"] == "response.output_text.delta")
        for event in events[: at + 1]:
            exchange.chunk(frame(event))
        while len(sent) < MOST and select.select([], [exchange._socket], [], FULL_SECONDS)[1]:
            exchange.chunk(frame({**events[at], "delta": PIECE}))
            sent.append(len(PIECE))
        full.set()
        for event in (*events[at + 1 :], last):
            exchange.chunk(frame(event))
        exchange.end()

    upstream.script(answer)
    with gateway.stream(turn("hello")) as stream:
        assert full.wait(60)
        assert 0 < len(sent) < MOST, "somebody on the way took everything in"
        seen = list(stream.events())
    assert sum(event.get("delta") == PIECE for event in seen) == len(sent)
    assert seen[-1]["type"] == "response.completed"

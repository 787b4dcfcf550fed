"""Closed-loop load: each connection asks anew as soon as its stream has ended. Prints what it saw as one JSON line.

Connections are reused. Events are counted as they arrive, not when their stream ends. A stream counts as served when it ended
properly, with `response.completed`, and brought as many events as were asked for; every other one is an error, and named.
The key is read from FLOWAY_BENCH_KEY, so that it stands on no command line. `generator_busy` tells how much of one core this
took: near 1, the figures are the generator's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

EVENT = b"event: response."
COMPLETED = b"event: response.completed\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FILLER = "The quick brown fox jumps over the lazy dog, and then it does so again. " * 14
LONGEST_SECONDS = 60.0
_MOST_ERRORS = 200
_PEERS_EVENTS = 21
RESPONSE_ID = re.compile(rb'"id":"(resp_[^"]+)"')
_HEAD = (
    b"POST %s HTTP/1.1\r\nhost: %s:%d\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n"
    b"accept: text/event-stream\r\ncontent-length: %d\r\n\r\n"
)
_BODY = (
    b"""{"model":"%%s","instructions":"%s","stream":true,%%s"input":[{"type":"message","role":"user","content":["""
    % (_FILLER.encode())
    + b"""{"type":"input_text","text":"Conversation %%s. %s%%s"}]}]}""" % _FILLER.encode()
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what.

    :param events: how many public events a stream must bring. :param padding: what makes a body as large as it shall be.
    :param event: what every event has once. :param completed: what the last one has.
    """

    host: str
    port: int
    path: str
    key: str = field(repr=False)
    model: str
    events: int
    padding: bytes = field(default=b"", repr=False)
    event: bytes = EVENT
    completed: bytes = COMPLETED

    @classmethod
    def of(cls, url: str, key: str, model: str, body_bytes: int = 0) -> Target:
        """From a URL and a model such as `bench-20` or `bench-20-5`; another name is that of a peer's model.

        It stands for 20 events; that peer passes the vendor's on, too, and writes no `event:` lines.
        """
        parts = urlsplit(url)
        named = model.split("-")
        marks = {} if named[0] == "bench" else {"event": b"data: {", "completed": b'"response.completed"'}
        events = int(named[1]) if named[0] == "bench" and named[1].isdigit() else _PEERS_EVENTS
        padding = (_FILLER.encode() * (body_bytes // len(_FILLER) + 1))[:body_bytes]
        return cls(parts.hostname or "", parts.port or 80, parts.path, key, model, events, padding, **marks)

    def request(self, serial: str, previous: str | None = None, more: bytes = b"") -> bytes:
        """A conversation's first turn, or one that continues `previous`. No two are alike, so no two begin one conversation.

        :param more: further members of the body, each with a comma after it.
        """
        continued = b'"previous_response_id":"%s",' % previous.encode() if previous else b""
        body = _BODY % (self.model.encode(), more + continued, serial.encode(), self.padding)
        head = _HEAD % (self.path.encode(), self.host.encode(), self.port, self.key.encode(), len(body))
        return head + body


@dataclass(frozen=True, slots=True)
class Result:
    """What a load came to. Latencies are in milliseconds, of streams that began after the warm-up.

    :param begun: requests sent, the warm-up's included. :param requests: streams that ended well after it.
    """

    begun: int
    requests: int
    seconds: float
    requests_per_second: float
    events_per_second: float
    first_event_p50: float
    first_event_p99: float
    whole_p50: float
    whole_p99: float
    generator_busy: float
    errors: dict[str, int]


class Tally:
    """What all connections have seen since `start_at` (monotonic seconds)."""

    def __init__(self, start_at: float, end_at: float, most: int) -> None:
        self.start_at = start_at
        self.end_at = end_at
        self.begun = 0
        self.served = 0
        self.events = 0
        self.first: list[float] = []
        self.whole: list[float] = []
        self.errors: Counter[str] = Counter()
        self._most = most
        self._set_out_at = time.monotonic(), time.process_time()

    def may_begin(self) -> bool:
        """Is there still a request to send?"""
        return self.begun < self._most and self.errors.total() < _MOST_ERRORS and time.monotonic() < self.end_at

    def arrived(self, now: float, events: int) -> None:
        """Events came."""
        if self.start_at <= now <= self.end_at:
            self.events += events

    def ended(self, began: float, first: float, now: float) -> None:
        """A stream was served in full."""
        if self.start_at <= now <= self.end_at:
            self.served += 1
        if began >= self.start_at:
            self.first.append((first - began) * 1000)
            self.whole.append((now - began) * 1000)

    def result(self, until: float) -> Result:
        """The sum, with `until` as the end of a load that stopped by count."""
        seconds = max(1e-9, min(until, self.end_at) - self.start_at)
        return Result(
            begun=self.begun,
            requests=self.served,
            seconds=round(seconds, 3),
            requests_per_second=round(self.served / seconds, 1),
            events_per_second=round(self.events / seconds, 1),
            first_event_p50=percentile(self.first, 50),
            first_event_p99=percentile(self.first, 99),
            whole_p50=percentile(self.whole, 50),
            whole_p99=percentile(self.whole, 99),
            generator_busy=self._busy(),
            errors=dict(self.errors),
        )

    def _busy(self) -> float:
        wall, spent = (now - then for now, then in zip((time.monotonic(), time.process_time()), self._set_out_at, strict=True))
        return round(spent / max(1e-9, wall), 2)


def percentile(values: list[float], percent: int) -> float:
    """The percentile, interpolated; NaN-free: 0 where there are none."""
    if len(values) < 2:
        return round(values[0], 3) if values else 0.0
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)


class Caller(asyncio.Protocol):
    """One connection, one stream at a time. `done` is resolved when it stops asking."""

    def __init__(self, target: Target, tally: Tally, serial: str, turns: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns = turns
        self._previous: str | None = None
        self._target = target
        self._tally = tally
        self._serial = serial
        self._asked = 0
        self._waiting = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._waiting:
            self._tally.errors["the connection was lost"] += 1
        self._stop()

    def _stop(self) -> None:
        self._waiting = False
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()

    def _ask(self) -> None:
        if not self._tally.may_begin():
            self._stop()
            return
        self._tally.begun += 1
        self._asked += 1
        self._head = b""
        self._in_body = False
        self._carry = b""
        self._events = 0
        self._parts: list[bytes] = []
        self._waiting = True
        request = self._target.request(f"{self._serial}-{self._asked}", self._previous)
        self._began = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._in_body:
            self._body(data)
            return
        self._head += data
        head, blank, body = self._head.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"HTTP/1.1 200 "):
            self._in_body = True
            self._body(body)
        else:
            self._refused(head, body)

    def _refused(self, head: bytes, body: bytes) -> None:
        length = _LENGTH.search(head)
        if len(body) >= int(length[1]) if length else body.endswith(_LAST_CHUNK):
            self._tally.errors[f"status {head[9:12].decode()}: {body[:160].decode(errors='replace')}"] += 1
            self._waiting = False
            self._ask()

    def _body(self, data: bytes) -> None:
        now = time.monotonic()
        seen = self._carry + data
        came = seen.count(self._target.event)
        if came and not self._events:
            self._first = now
        self._events += came
        self._tally.arrived(now, came)
        self._parts.append(data)
        self._carry = seen[-len(self._target.event) + 1 :]
        if seen.endswith(_LAST_CHUNK):
            self._ended(now)

    def _ended(self, now: float) -> None:
        self._waiting = False
        body = b"".join(self._parts)
        if self._events != self._target.events or self._target.completed not in body:
            body = unchunked(body)
            events = body.count(self._target.event)
            self._tally.arrived(now, events - self._events)
            self._events = events
        if self._target.completed not in body:
            self._tally.errors["no response.completed"] += 1
        elif self._events != self._target.events:
            self._tally.errors[f"{self._events} events instead of {self._target.events}"] += 1
        else:
            self._tally.ended(self._began, self._first, now)
        answered = RESPONSE_ID.search(body) if self._asked % self._turns else None
        self._previous = answered[1].decode() if answered else None
        self._ask()


def unchunked(body: bytes) -> bytes:
    """What a chunked body holds. Asked where the border of a chunk fell into an event's name, which hides it from a search."""
    parts, at = [], 0
    while size := int(body[at : (line := body.index(b"\r\n", at))], 16):
        parts.append(body[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return b"".join(parts)


async def drive(target: Target, *, connections: int, warm_up: float, seconds: float, most: int, turns: int = 1) -> Result:
    """Load `target` for `warm_up` and then `seconds`, or until `most` requests were sent.

    :param turns: of each conversation, all but the first by `previous_response_id`.
    :raises TimeoutError: streams hang.
    """
    loop = asyncio.get_running_loop()
    start_at = time.monotonic() + warm_up
    tally = Tally(start_at, start_at + seconds, most)
    run = os.urandom(6).hex()
    callers = []
    for number in range(connections):
        caller = Caller(target, tally, f"{run}-{number}", turns)
        await loop.create_connection(lambda caller=caller: caller, target.host, target.port)
        callers.append(caller.done)
    await asyncio.wait_for(asyncio.gather(*callers), warm_up + seconds + LONGEST_SECONDS)
    return tally.result(time.monotonic())


def main() -> None:
    """Drive as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where to POST to, path included")
    parser.add_argument("--model", default="bench-20")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds that are not counted")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--most", type=int, default=1_000_000, help="requests, the warm-up's included")
    parser.add_argument("--turns", type=int, default=1, help="of each conversation")
    parser.add_argument("--body", type=int, default=0, help="bytes that a request carries beside the usual two thousand")
    asked = parser.parse_args()
    target = Target.of(asked.url, os.environ.get("FLOWAY_BENCH_KEY", ""), asked.model, asked.body)
    load = drive(
        target,
        connections=asked.connections,
        warm_up=asked.warm_up,
        seconds=asked.seconds,
        most=min(asked.most, 1_000_000),
        turns=asked.turns,
    )
    print(json.dumps(asdict(asyncio.run(load))))


if __name__ == "__main__":
    main()

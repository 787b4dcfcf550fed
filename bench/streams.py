"""Many paced streams at once: how many events arrive, and how late. Prints one JSON line.

Every stream asks for the same pace (`bench-400-20`: 400 events, 20 ms apart). An event is late by as much as it lies behind the
earliest schedule that its stream's events allow; the delay of the upstream itself is in it, so compare with the direct road.
The key is read from FLOWAY_BENCH_KEY. With `--pids`, also what a server spends and, of the
first of them, the memory that its workers have while all streams are open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from bench.kernel import cpu_ms, worker_memory_mb
from bench.load import COMPLETED, EVENT, Target, percentile

_LAST_CHUNK = b"\r\n0\r\n\r\n"
_CARRIED = len(EVENT) - 1
_RAMP_SECONDS = 2.0
_HANDSHAKE_EVENTS = 2
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Flood:
    """What the streams came to. Delays are in milliseconds.

    :param delivered: events a second, the sum over the streams, each from its second event to its last. All must be open
        at once, so let them last much longer than they take to begin.
    :param per_stream_kb: PSS that the workers gained, by the number of streams. :param cpu_us_per_event: of the server.
    """

    streams: int
    finished: int
    offered: float
    delivered: float
    delay_p50: float
    delay_p99: float
    per_stream_kb: float | None
    cpu_us_per_event: float | None
    errors: dict[str, int]


class Listener(asyncio.Protocol):
    """One stream. `done` is resolved at its end; `arrivals` holds the time of each event."""

    def __init__(self, request: bytes, events: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.arrivals: list[float] = []
        self.error: str | None = None
        self._request = request
        self._events = events
        self._carry = b""
        self._completed = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        """See asyncio."""
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        now = time.monotonic()
        if not self.arrivals and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200 "):
            self._end(f"status {data[9:12].decode()}")
            return
        seen = self._carry + data
        self.arrivals += [now] * seen.count(EVENT)
        self._completed = self._completed or COMPLETED in seen
        self._carry = seen[-_CARRIED:]
        if seen.endswith(_LAST_CHUNK):
            whole = self._completed and len(self.arrivals) == self._events
            self._end(None if whole else f"{len(self.arrivals)} events instead of {self._events}")

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._end("the connection was lost")

    def _end(self, error: str | None) -> None:
        if not self.done.done():
            self.error = error
            self.done.set_result(None)
            self._transport.close()


async def flood(target: Target, streams: int, pause: float, pids: list[int]) -> Flood:
    """Open `streams` streams within two seconds and follow them to their end.

    :param pause: seconds between a stream's events. :param pids: of the server that is measured, its master first.
    """
    loop, run = asyncio.get_running_loop(), os.urandom(6).hex()
    idle, spent = _memory(pids), cpu_ms(pids)
    listeners = []
    for number in range(streams):
        listener = Listener(target.request(f"{run}-{number}"), target.events)
        await loop.create_connection(lambda listener=listener: listener, target.host, target.port)
        listeners.append(listener)
        await asyncio.sleep(_RAMP_SECONDS / streams)
    await asyncio.sleep(max(0.0, target.events * pause - _RAMP_SECONDS) / 2)
    busy = _memory(pids)
    await asyncio.wait([each.done for each in listeners], timeout=target.events * pause + _PATIENCE_SECONDS)
    spent = cpu_ms(pids) - spent
    late = [delay for each in listeners for delay in _delays(each.arrivals, pause)]
    errors = Counter(each.error if each.done.done() else "never ended" for each in listeners)
    finished = errors.pop(None, 0)
    return Flood(
        streams=streams,
        finished=finished,
        offered=round(streams / pause, 1),
        delivered=round(sum(_rate(each.arrivals) for each in listeners), 1),
        delay_p50=percentile(late, 50),
        delay_p99=percentile(late, 99),
        per_stream_kb=round((busy - idle) / streams, 1) if pids else None,
        cpu_us_per_event=round(spent * 1000 / max(1, sum(len(each.arrivals) for each in listeners)), 1) if pids else None,
        errors={str(name): count for name, count in errors.items()},
    )


def _delays(arrivals: list[float], pause: float) -> list[float]:
    """Milliseconds by which each arrival of the output lies behind its stream's earliest schedule.

    What comes before the output is left out: a gateway holds a handshake back, in case the answer is refused after all.
    """
    behind = [at - number * pause for number, at in enumerate(arrivals[_HANDSHAKE_EVENTS:])]
    earliest = min(behind, default=0.0)
    return [(each - earliest) * 1000 for each in behind]


def _rate(arrivals: list[float]) -> float:
    """Events a second, from the second one to the last."""
    paced = arrivals[1:]
    return (len(paced) - 1) / (paced[-1] - paced[0]) if len(paced) > 1 and paced[-1] > paced[0] else 0.0


def _memory(pids: list[int]) -> float:
    """KB (of 1,000 bytes) that a server's workers hold for themselves."""
    return sum(pss for pss, _ in worker_memory_mb(pids[0])) * 1000 if pids else 0.0


def main() -> None:
    """Flood as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where to POST to, path included")
    parser.add_argument("--model", default="bench-400-20")
    parser.add_argument("--streams", type=int, default=400)
    parser.add_argument("--pids", type=int, nargs="*", default=[], help="the server's processes, its master first")
    asked = parser.parse_args()
    target = Target.of(asked.url, os.environ.get("FLOWAY_BENCH_KEY", ""), asked.model)
    pause = float(asked.model.split("-")[2]) / 1000
    print(json.dumps(asdict(asyncio.run(flood(target, asked.streams, pause, asked.pids)))))


if __name__ == "__main__":
    main()

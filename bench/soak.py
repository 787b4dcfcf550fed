"""A soak: mixed turns at half of what the gateway can take, some failed by the upstream, and nothing left over at the end.

`python -m bench.soak --minutes 20`. It ends with status 1 unless nothing is in flight, memory and descriptors are flat, and
every turn that went wrong was meant to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.kernel import cpu_ms, open_files, worker_memory_mb
from bench.postgres import Cluster
from bench.processes import Gateway, Site, Upstream
from bench.turning import Callers

_GAUGE_SECONDS = 20.0
_GAUGE_CONNECTIONS = 16
_SAMPLE_SECONDS = 5.0
_SETTLE_SECONDS = 40.0
_MOST_GROWTH_MB = 8.0
_MOST_GROWTH = 1.05
_MOST_MORE_FILES = 16
_SHARE = 0.5
_MOST_AT_ONCE = 64
"""A machine that is busy with other things makes turns wait; beyond that many it would be overload that is tested."""
_QUESTION = (
    "import json; from responses_app.models import Exchange, Snapshot; from collections import Counter;"
    " print(json.dumps({'in_flight': Exchange.objects.in_flight().count(),"
    " 'leases': Snapshot.objects.filter(continued_until__isnull=False, continued_by__status='in_flight').count(),"
    " 'exchanges': Exchange.objects.count(),"
    " 'ended_by': dict(Counter(Exchange.objects.values_list('ended_by', flat=True)))}))"
)


@dataclass(slots=True)
class Log:
    """What was seen. Memory is the sum of the workers' RSS, in MB."""

    turns: Counter[str] = field(default_factory=Counter)
    faulted: Counter[str] = field(default_factory=Counter)
    unexplained: Counter[str] = field(default_factory=Counter)
    not_begun: int = 0
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    async def note(self, callers: Callers, serial: str) -> None:
        """One turn, and how it went."""
        outcome = await callers.take(serial)
        self.turns[outcome.kind] += 1
        if outcome.faulted:
            self.faulted[outcome.problem or "it went well all the same"] += 1
        elif outcome.problem:
            self.unexplained[f"{outcome.kind}: {outcome.problem}"] += 1

    async def sample(self, gateway: Gateway) -> None:
        """Memory and descriptors, until cancelled."""
        while True:
            self.memory.append(sum(rss for _, rss in worker_memory_mb(gateway.pid)))
            self.files.append(open_files(gateway.pid))
            await asyncio.sleep(_SAMPLE_SECONDS)


async def gauge(callers: Callers, log: Log) -> float:
    """Turns a second that the gateway takes when asked as fast as it answers."""
    end = time.monotonic() + _GAUGE_SECONDS

    async def ask(number: int) -> None:
        turn = 0
        while time.monotonic() < end:
            await log.note(callers, f"gauge-{number}-{turn}")
            turn += 1

    began = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(_GAUGE_CONNECTIONS)))
    return log.turns.total() / (time.monotonic() - began)


async def soak(callers: Callers, log: Log, gateway: Gateway, *, rate: float, seconds: float) -> None:
    """Begin turns at a rate, whether or not earlier ones have ended, and see all of them to their end.

    Those that would be one too many at once are not begun, and counted.
    """
    sampling = asyncio.create_task(log.sample(gateway))
    tasks: set[asyncio.Task[None]] = set()
    began, number = time.monotonic(), 0
    while (now := time.monotonic()) < began + seconds:
        while began + number / rate <= now:
            number += 1
            if len(tasks) >= _MOST_AT_ONCE:
                log.not_begun += 1
                continue
            task = asyncio.create_task(log.note(callers, f"soak-{number}"))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    sampling.cancel()


def left_over(site: Site) -> dict[str, Any]:
    """What the database says when all callers are gone; asked again until nothing is in flight."""
    give_up_at = time.monotonic() + _SETTLE_SECONDS
    while True:
        found: dict[str, Any] = json.loads(site.run("manage.py", "shell", "--no-imports", "-c", _QUESTION).splitlines()[-1])
        if not found["in_flight"] or time.monotonic() > give_up_at:
            return found
        time.sleep(1)


def problems(log: Log, left: dict[str, Any], files_before: int, files_after: int) -> list[str]:
    """What is wrong, in sentences; nothing if all is well."""
    found = [f"{count} × {name}" for name, count in log.unexplained.items()]
    if left["in_flight"] or left["leases"]:
        found.append(f"{left['in_flight']} exchanges are in flight, {left['leases']} snapshots are held")
    early, late = _quarters(log.memory)
    if late > early * _MOST_GROWTH + _MOST_GROWTH_MB:
        found.append(f"the workers' memory grew from {early:.0f} to {late:.0f} MB")
    if files_after > files_before + _MOST_MORE_FILES:
        found.append(f"open files grew from {files_before} to {files_after}")
    return found


def _quarters(samples: list[float]) -> tuple[float, float]:
    """Medians of the second and the last quarter: the first one is warm-up."""
    size = max(1, len(samples) // 4)
    return statistics.median(samples[size : 2 * size] or samples), statistics.median(samples[-size:])


def _run(stack: ExitStack, asked: argparse.Namespace) -> dict[str, Any]:
    upstream = stack.enter_context(Upstream())
    database = stack.enter_context(Cluster()).database("soak") if asked.postgres else None
    site = stack.enter_context(Site(upstream.url, database))
    site.prepare()
    gateway = stack.enter_context(Gateway(site))
    where, log = urlsplit(gateway.target), Log()
    callers = Callers(where.hostname or "", where.port or 80, where.path, site.key, random.Random(7), 0.01)
    capacity = asyncio.run(gauge(callers, log))
    gauged, files_before, spent = log.turns.total(), open_files(gateway.pid), cpu_ms([gateway.pid])
    print(f"{capacity:.1f} turns/s; soaking at {capacity * _SHARE:.1f}", flush=True)
    asyncio.run(soak(callers, log, gateway, rate=capacity * _SHARE, seconds=asked.minutes * 60))
    left = left_over(site)
    soaked = log.turns.total() - gauged
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "minutes": asked.minutes,
        "database": "PostgreSQL" if asked.postgres else "SQLite",
        "capacity_per_second": round(capacity, 1),
        "turns": dict(log.turns),
        "not_begun": log.not_begun,
        "cpu_ms_per_turn": round((cpu_ms([gateway.pid]) - spent) / max(1, soaked), 2),
        "injected_faults": dict(log.faulted),
        "memory_mb": [round(each, 1) for each in log.memory],
        "open_files": log.files,
        "open_files_before_and_after": [files_before, open_files(gateway.pid)],
        "left_over": left,
        "load_average": round(os.getloadavg()[0], 1),
        "problems": problems(log, left, files_before, open_files(gateway.pid)),
    }


def main() -> int:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--postgres", action="store_true", help="a cluster of our own instead of SQLite")
    asked = parser.parse_args()
    with ExitStack() as stack:
        report = _run(stack, asked)
    print(json.dumps(report))
    for problem in report["problems"]:
        print(f"PROBLEM: {problem}")
    early, late = _quarters(report["memory_mb"])
    print(f"memory {early:.0f} MB early, {late:.0f} MB late; {'not all is well' if report['problems'] else 'all is well'}")
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The rows of the table about processes: memory, time to start, callers that leave."""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack
from dataclasses import asdict
from urllib.parse import urlsplit

from bench.figures import Figure
from bench.kernel import forget_peaks, peak_mb, worker_memory_mb
from bench.leaving import leave
from bench.processes import Gateway
from bench.stage import BenchFailed, Road, Stage

_SILENCES = {"after its first event": "silent", "before its head": "mute"}
_ITEM_BYTES = 2_000
_COMPACTED_MB = 10


def compaction(stage: Stage) -> list[Figure]:
    """Ten megabytes to compact, and the most that a worker held beside what it held before."""
    return [_compacted(road, gateway) for road, gateway in stage.gateways.values()]


def _compacted(road: Road, gateway: Gateway) -> Figure:
    body = compaction_body(_COMPACTED_MB * 1_000_000)
    before = forget_peaks(gateway.pid)
    status, answer = post(f"{road.target}/compact", road.key, body)
    if status != 200:
        raise BenchFailed(f"compaction on {road.name}: {status} {answer[:300]!r}")
    gained = max(peak_mb(pid) - held for pid, held in before)
    size = len(body) / 1e6
    detail = f"{gained:.0f} MB for a body of {size:.1f} MB"
    return Figure(
        "compaction", "10 MB compaction body, peak memory", road.name, gained / size, "× the body", None, 4, detail=detail
    )


def compaction_body(size: int) -> bytes:
    """A conversation of about `size` bytes, stated whole."""
    text = "It is the relay that counts, not what stands in it. " * (_ITEM_BYTES // 52)
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"{number} {text}"}]}
        for number in range(size // _ITEM_BYTES)
    ]
    return json.dumps({"model": "bench-20", "input": items}).encode()


def post(url: str, key: str, body: bytes, seconds: float = 120) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("POST", parts.path, body, {"authorization": f"Bearer {key}", "content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def leaving(stage: Stage) -> list[Figure]:
    """The caller leaves while the upstream is silent."""
    figures = []
    for road in stage.ours:
        for when, mode in _SILENCES.items():
            left = leave(road.target, road.key, stage.upstream.url, mode=mode, tries=stage.effort.tries)
            stage.raw[f"the caller leaves, {when}, {road.name}"] = asdict(left)
            detail = f"p50 {left.p50} ms of {left.tries}, unnoticed {left.unnoticed}"
            worst = left.worst if not left.unnoticed else 8_000.0
            name = f"the caller leaves, upstream silent {when}, worst"
            figures.append(Figure("leaving", name, road.name, worst, "ms", None, 100, detail=detail))
    return figures


def starting(stage: Stage) -> list[Figure]:
    """From the command to the first answer, and what an idle worker holds."""
    figures = []
    for database in stage.databases:
        seconds: dict[str, list[float]] = {"an empty database": [], "a migrated one": []}
        for _ in range(stage.effort.repeats):
            with ExitStack() as stack:
                site = stage.site(database, stack)
                for kind, took in seconds.items():
                    with Gateway(site, migrate=kind == "an empty database") as gateway:
                        took.append(gateway.start_seconds)
                        idle = worker_memory_mb(gateway.pid)
        stage.raw[f"start, {database}"] = seconds
        for kind, took in seconds.items():
            best = sorted(took)[len(took) // 2]
            figures.append(Figure("start", f"start to first answer, on {kind}", database, best, "s", None, 2))
        most = max(rss for _, rss in idle)
        detail = ", ".join(f"{pss:.0f} / {rss:.0f}" for pss, rss in idle) + " MB PSS / RSS"
        figures.append(Figure("start", "memory of an idle worker, RSS", database, most, "MB", None, 120, detail=detail))
    return figures

"""The benchmark: every row of the table, beside what it must and what it should be. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import holding, relaying, storing
from bench.figures import LOAD_HEADINGS, Figure, markdown, table
from bench.leaving import leave
from bench.processes import ROOT, DidNotStart
from bench.stage import POSTGRES, SQLITE, BenchFailed, Case, Effort, Measured, Stage, errors_of, median, plain, say

RESULTS = ROOT / "bench" / "results"
HISTORY = RESULTS / "history.jsonl"
"""Of full runs; it is committed."""
QUICK_HISTORY = RESULTS / "quick.jsonl"

ROWS: dict[str, Callable[[Stage], list[Figure]]] = {
    "start": holding.starting,
    "short": relaying.short,
    "bursts": relaying.bursts,
    "paced": relaying.paced,
    "first": relaying.first_event,
    "slow": relaying.slow,
    "bodies": relaying.bodies,
    "compaction": holding.compaction,
    "leaving": holding.leaving,
    "turns": storing.turns,
    "large": storing.large,
}
_QUICK = [name for name in ROWS if name != "large"]
_SMOKE_REQUESTS = 6
_EFFORTS = {
    "quick": Effort(repeats=1, seconds=2.0, tries=10, snapshots=20_000, turns=200),
    "full": Effort(repeats=3, seconds=2.5, tries=20, snapshots=100_000, turns=1_000),
}


def measure(stage: Stage, rows: list[str]) -> dict[str, Any]:
    """The rows, one after the other. A row that fails is named; the others go on."""
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    took: dict[str, float] = {}
    for name in rows:
        say(f"{name}:")
        began = time.monotonic()
        try:
            figures += ROWS[name](stage)
        except (BenchFailed, DidNotStart, OSError, subprocess.TimeoutExpired) as failure:
            failures[name] = str(failure)[-2000:]
            say(f"  FAILED: {failure}")
        took[name] = round(time.monotonic() - began, 1)
    return {
        "figures": [asdict(figure) for figure in figures],
        "loads": {case: plain(repeats) for case, repeats in stage.loads.items()},
        "raw": stage.raw,
        "errors": stage.errors,
        "failures": failures,
        "row_seconds": took,
    }


def _circumstances(asked: argparse.Namespace) -> dict[str, Any]:
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kind": asked.kind,
        "revision": revision.stdout.strip(),
        "databases": [SQLITE, *([POSTGRES] if asked.postgres else [])],
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def show(report: dict[str, Any], stage: Stage) -> str:
    """The report as Markdown, ready for the docs."""
    head = ", ".join(f"{name.replace('_', ' ')} {report[name]}" for name in ("at", "revision", "cores", "python"))
    load = f"load average {report['load_average_before']} before, {report['load_average_after']} after"
    parts = [
        f"{head}, {load}. Streams that went wrong: {report['errors']}.",
        table(Figure(**each) for each in report["figures"]),
    ]
    parts += [f"**{name} failed:** {reason.splitlines()[-1]}" for name, reason in report["failures"].items()]
    return "\n\n".join([*parts, markdown(LOAD_HEADINGS, _load_lines(stage))])


_LATENCIES = ("first_event_p50", "first_event_p99", "whole_p50", "whole_p99")


def _load_lines(stage: Stage) -> list[list[str]]:
    return [
        [case, road, *_load_line(measured, road, roads)]
        for case, roads in stage.loads.items()
        for road, measured in roads.items()
    ]


def _load_line(measured: list[Measured], road: str, roads: dict[str, list[Measured]]) -> list[str]:
    rate, events = median(measured, "requests_per_second"), median(measured, "events_per_second")
    cpu = median(measured, lambda each: each.cpu_ms)
    return [
        f"{rate:.0f}",
        *(_share(rate, roads.get(peer), road == peer) for peer in ("direct", "nginx")),
        f"{events:.0f}",
        *(f"{median(measured, what):.2f}" for what in _LATENCIES),
        f"{cpu:.2f}",
        f"{cpu * 1000 * rate / events:.1f}" if events else "–",
        f"{median(measured, 'generator_busy'):.2f}",
        f"{median(measured, lambda each: each.upstream_busy):.2f}",
        str(errors_of(measured)),
    ]


def _share(rate: float, peer: list[Measured] | None, itself: bool) -> str:
    if peer is None:
        return "–"
    return "1" if itself else f"{rate / median(peer, 'requests_per_second'):.3f}"


def smoke(stage: Stage) -> None:
    """A few streams of each kind, for function alone. :raises BenchFailed: one went wrong."""
    cases = (
        Case("20 events", "bench-20", 2),
        Case("200 events", "bench-200", 2),
        Case("paced", "bench-20-2", 2),
        Case("large bodies", "bench-20", 1, body=500_000),
        Case("continued", "bench-20", 1, turns=3),
    )
    for road in (stage.direct, *stage.ours):
        for case in cases:
            result = stage.drive(road, case, warm_up=0, seconds=30, most=_SMOKE_REQUESTS).result
            if result.requests != _SMOKE_REQUESTS or result.errors:
                raise BenchFailed(f"{road.name}, {case.name}: {result.requests} of {_SMOKE_REQUESTS}: {result.errors}")
    for road in stage.ours:
        left = leave(road.target, road.key, stage.upstream.url, mode="silent", tries=1)
        if left.unnoticed:
            raise BenchFailed("a caller who left was not noticed")
    holding.compaction(stage)
    say("bench: every stream came whole, every departure was noticed")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--smoke", dest="kind", action="store_const", const="smoke", help="for function, never for speed")
    kinds.add_argument("--full", dest="kind", action="store_const", const="full", help="all rows, thrice; kept in history")
    parser.set_defaults(kind="quick")
    parser.add_argument("--rows", help=f"some of {','.join(ROWS)}")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL beside SQLite, a cluster of our own")
    parser.add_argument("--litellm", action="store_true", help="LiteLLM's proxy beside it, installed at the first need")
    parser.add_argument("--nginx", metavar="PATH", default=_nginx(), help="a pass-through to compare with, if installed")
    parser.add_argument("--million", action="store_true", help="a large store of 1,000,000 snapshots instead of 100,000")
    parser.add_argument("--history", type=Path, help="a JSON line is added here")
    asked = parser.parse_args(argv)
    unknown = [name for name in (asked.rows or "").split(",") if name and name not in ROWS]
    if unknown:
        parser.error(f"no such rows: {', '.join(unknown)}")
    return asked


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def main(argv: list[str] | None = None) -> int:
    """Run as the command line says; returns the exit status."""
    asked = _arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends
    effort = _EFFORTS["full" if asked.kind == "full" else "quick"]
    if asked.million:
        effort = replace(effort, snapshots=1_000_000)
    databases = [SQLITE, *([POSTGRES] if asked.postgres else [])]
    with ExitStack() as stack:
        stage = Stage(stack, effort, databases, nginx=asked.nginx, litellm=asked.litellm)
        if asked.kind == "smoke":
            return _smoked(stage)
        rows = asked.rows.split(",") if asked.rows else [*ROWS] if asked.kind == "full" else _QUICK
        report = {**_circumstances(asked), **measure(stage, rows), "load_average_after": round(os.getloadavg()[0], 2)}
        print(show(report, stage))
    history: Path = asked.history or (HISTORY if asked.kind == "full" and not asked.rows else QUICK_HISTORY)
    history.parent.mkdir(parents=True, exist_ok=True)
    with history.open("a") as lines:
        lines.write(json.dumps(report) + "\n")
    return 1 if report["errors"] or report["failures"] else 0


def _smoked(stage: Stage) -> int:
    try:
        smoke(stage)
    except (BenchFailed, DidNotStart) as failure:
        say(f"bench: {failure}")
        return 1
    return 0

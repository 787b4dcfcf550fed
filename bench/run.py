"""The benchmark: gateway and direct road in turn, each figure beside the direct one of the same run. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.leaving import leave
from bench.load import Result
from bench.processes import ROOT, DidNotStart, Gateway, Nginx, Process, Upstream, cpu_ms, worker_memory_mb

HISTORY = ROOT / "bench" / "results" / "history.jsonl"
_SMOKE_REQUESTS = 6
_LOAD_MARGIN_SECONDS = 90


class BenchFailed(Exception):
    """There is nothing to show; `str` says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """A load: a model of the simulated upstream's, and how many connections ask for it."""

    name: str
    model: str
    connections: int


SHORT = "short streams (20 events)"
CASES = (
    Case(f"{SHORT}, c=1", "bench-20", 1),
    Case(f"{SHORT}, c=16", "bench-20", 16),
    Case(f"{SHORT}, c=64", "bench-20", 64),
    Case("bursts (200 events), c=16", "bench-200", 16),
)


@dataclass(frozen=True, slots=True)
class Road:
    """A way to the upstream: straight, through the gateway, or through a peer."""

    name: str
    target: str
    process: Process
    key: str = field(default="bench", repr=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one road. `cpu_ms`: what the road's process spent on a request."""

    result: Result
    cpu_ms: float


Table = dict[str, dict[str, list[Measured]]]
"""Case, then road, then repeats."""


def drive(road: Road, case: Case, *, warm_up: float, seconds: float, most: int | None = None) -> Measured:
    """Put a load on a road, from a process of its own.

    :raises BenchFailed: not one stream was served.
    """
    command = [sys.executable, "-m", "bench.load", road.target, "--model", case.model, "--connections", str(case.connections)]
    command += ["--warm-up", str(warm_up), "--seconds", str(seconds), *(["--most", str(most)] if most else [])]
    environment = {**os.environ, "FLOWAY_BENCH_KEY": road.key}
    before = cpu_ms(road.process.pid)
    limit = warm_up + seconds + _LOAD_MARGIN_SECONDS
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit, check=False)
    spent = cpu_ms(road.process.pid) - before
    if done.returncode:
        raise BenchFailed(f"{road.name}, {case.name}: {done.stderr}")
    result = Result(**json.loads(done.stdout))
    if not result.requests:
        raise BenchFailed(f"{road.name}, {case.name}: no stream was served: {result.errors}\n{road.process.output[-3000:]}")
    return Measured(result, spent / result.begun)


def measure(roads: list[Road], *, repeats: int, seconds: float) -> Table:
    """All cases on all roads, in turn, so that what disturbs the machine disturbs them alike."""
    table: Table = {case.name: defaultdict(list) for case in CASES}
    for case in CASES:
        for repeat in range(repeats):
            for road in roads:
                measured = drive(road, case, warm_up=1.0 if repeat == 0 else 0.3, seconds=seconds)
                table[case.name][road.name].append(measured)
                _say(
                    f"  {case.name}, {road.name}: {measured.result.requests_per_second:.0f} requests/s", measured.result.errors
                )
    return table


def _say(line: str, errors: dict[str, int] | None = None) -> None:
    print(line, f"ERRORS {errors}" if errors else "", file=sys.stderr, flush=True)


def errors_in(table: Table) -> int:
    """How many streams went wrong, anywhere."""
    return sum(sum(each.result.errors.values()) for by in table.values() for measured in by.values() for each in measured)


def median(measured: list[Measured], what: str) -> float:
    """The median over repeats of one of a result's figures, or of `cpu_ms`."""
    figures: list[float] = [getattr(each if what == "cpu_ms" else each.result, what) for each in measured]
    return statistics.median(figures)


# --- what is printed --------------------------------------------------------------------------------------------------------

_HEADINGS = (
    *("load", "road", "requests/s", "of direct", "of nginx", "events/s"),
    *("first event p50 ms", "p99", "whole p50 ms", "p99", "CPU ms/request", "errors"),
)
_LATENCIES = ("first_event_p50", "first_event_p99", "whole_p50", "whole_p99")


def rows(table: Table) -> list[list[str]]:
    """The table's lines, one for each case and road."""
    lines = []
    for case, roads in table.items():
        for road, measured in roads.items():
            rate = median(measured, "requests_per_second")
            shares = [_share(rate, roads.get(peer), road == peer) for peer in ("direct", "nginx")]
            latencies = [f"{median(measured, what):.2f}" for what in _LATENCIES]
            events = f"{median(measured, 'events_per_second'):.0f}"
            cpu, errors = f"{median(measured, 'cpu_ms'):.2f}", str(sum(sum(each.result.errors.values()) for each in measured))
            lines.append([case, road, f"{rate:.0f}", *shares, events, *latencies, cpu, errors])
    return lines


def _share(rate: float, peer: list[Measured] | None, itself: bool) -> str:
    if peer is None:
        return "–"
    return "1" if itself else f"{rate / median(peer, 'requests_per_second'):.3f}"


def markdown(headings: tuple[str, ...], lines: list[list[str]]) -> str:
    """A table as Markdown."""
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(line)} |" for line in ([*headings], rule, *lines))


def single_figures(report: dict[str, Any]) -> list[list[str]]:
    """What is not a load, beside what it should be."""
    lines = [
        ["added time to first event, c=1, p50", f"{report['added_first_event_p50_ms']:.2f} ms", "≤ 2 ms"],
        ["added time to first event, c=1, p99", f"{report['added_first_event_p99_ms']:.2f} ms", "≤ 4 ms"],
        ["start to first answer, migrations included", f"{report['start_seconds']:.2f} s", "≤ 2 s"],
    ]
    for name, left in report["caller_leaves"].items():
        figure = f"p50 {left['p50']:.1f} ms, worst {left['worst']:.1f} ms of {left['tries']}, unnoticed {left['unnoticed']}"
        lines.append([f"the caller leaves, upstream {name}", figure, "≤ 100 ms"])
    for when, memory in report["worker_memory_mb"].items():
        figure = ", ".join(f"{pss:.0f} / {rss:.0f}" for pss, rss in memory)
        lines.append([f"memory per worker, {when}, PSS / RSS", f"{figure} MB", "≤ 120 MB"])
    if expansion := report.get("expansion"):
        straight, forked = expansion["straight_ms"]["p50"], expansion["forked_ms"]["p50"]
        figure = f"p50 {straight:.1f} ms; over {expansion['forks']} forks {forked:.1f} ms"
        lines.append([f"expanding {expansion['items']} items of 1 KB", figure, "≤ 15 ms"])
    return lines


# --- runs -------------------------------------------------------------------------------------------------------------------


def leavings(gateway: Gateway, upstream: Upstream, tries: int) -> dict[str, Any]:
    """The caller leaves, in both kinds of silence."""
    modes = {"silent after its first event": "silent", "silent before its head": "mute"}
    return {
        name: asdict(leave(gateway.target, gateway.key, upstream.url, mode=mode, tries=tries)) for name, mode in modes.items()
    }


def expansion() -> dict[str, Any]:
    """See bench.expansion."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.expansion"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise BenchFailed(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def full(asked: argparse.Namespace) -> dict[str, Any]:
    """Everything, measured."""
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        gateway = stack.enter_context(Gateway(upstream.url, asked.postgres))
        roads = [Road("direct", upstream.target, upstream), Road("gateway", gateway.target, gateway, gateway.key)]
        if asked.nginx:
            nginx = stack.enter_context(Nginx(asked.nginx, upstream.url))
            roads.insert(1, Road("nginx", nginx.target, nginx))
        idle = worker_memory_mb(gateway.pid)
        table = measure(roads, repeats=asked.repeats, seconds=asked.seconds)
        left = leavings(gateway, upstream, asked.tries)
        loaded = worker_memory_mb(gateway.pid)
        started = gateway.start_seconds
    alone = table[CASES[0].name]
    added = {
        f"added_first_event_{p}_ms": median(alone["gateway"], f"first_event_{p}") - median(alone["direct"], f"first_event_{p}")
        for p in ("p50", "p99")
    }
    return {
        **_circumstances(asked),
        "table": {
            case: {road: [asdict(each) for each in measured] for road, measured in by_road.items()}
            for case, by_road in table.items()
        },
        "rows": rows(table),
        "errors": errors_in(table),
        **added,
        "start_seconds": started,
        "caller_leaves": left,
        "worker_memory_mb": {"idle": idle, "after the load": loaded},
        "expansion": expansion(),
    }


def _circumstances(asked: argparse.Namespace) -> dict[str, Any]:
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "revision": revision.stdout.strip(),
        "database": "PostgreSQL" if asked.postgres else "SQLite",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_average_before": os.getloadavg()[0],
    }


def smoke(asked: argparse.Namespace) -> None:
    """A few streams of each kind, for function alone. :raises BenchFailed: one went wrong."""
    with Upstream() as upstream, Gateway(upstream.url, asked.postgres) as gateway:
        for road in (Road("direct", upstream.target, upstream), Road("gateway", gateway.target, gateway, gateway.key)):
            for case in (Case("20 events", "bench-20", 2), Case("200 events", "bench-200", 2), Case("paced", "bench-20-2", 2)):
                result = drive(road, case, warm_up=0, seconds=30, most=_SMOKE_REQUESTS).result
                if result.requests != _SMOKE_REQUESTS or result.errors:
                    raise BenchFailed(f"{road.name}, {case.name}: {result.requests} of {_SMOKE_REQUESTS}: {result.errors}")
        for name, left in leavings(gateway, upstream, 2).items():
            if left["unnoticed"]:
                raise BenchFailed(f"a caller who left was not noticed; upstream {name}")
    _say("bench: every stream came whole, every departure was noticed")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few requests of each kind, for function, never for speed")
    parser.add_argument("--postgres", metavar="URL", help="an empty PostgreSQL database of its own; SQLite by default")
    parser.add_argument(
        "--nginx", metavar="PATH", default=shutil.which("nginx"), help="a pass-through to compare with, if installed"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each load")
    parser.add_argument("--tries", type=int, default=20, help="how often a caller leaves")
    parser.add_argument("--history", type=Path, default=HISTORY, help="a JSON line is added here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run as the command line says; returns the exit status."""
    asked = _arguments(argv)
    try:
        if asked.smoke:
            smoke(asked)
            return 0
        report = full(asked)
    except (BenchFailed, DidNotStart) as failure:
        _say(f"bench: {failure}")
        return 1
    print(markdown(_HEADINGS, report["rows"]), end="\n\n")
    print(markdown(("measure", "figure", "aim"), single_figures(report)))
    asked.history.parent.mkdir(parents=True, exist_ok=True)
    with asked.history.open("a") as history:
        history.write(json.dumps({name: value for name, value in report.items() if name != "rows"}) + "\n")
    return 1 if report["errors"] else 0

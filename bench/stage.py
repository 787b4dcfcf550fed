"""What a benchmark runs on: the upstream, the roads to it, and loads put on them in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from bench.kernel import cpu_ms
from bench.load import Result
from bench.peers import LiteLLM, Nginx
from bench.postgres import Cluster
from bench.processes import ROOT, Gateway, Process, Site, Upstream
from bench.streams import Flood

_LOAD_MARGIN_SECONDS = 90
SQLITE, POSTGRES = "SQLite", "PostgreSQL"


class BenchFailed(Exception):
    """There is nothing to show; `str` says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """A load: a model of the simulated upstream's, how many connections ask for it, and how.

    :param body: bytes of each request beside the usual ones. :param turns: of each conversation.
    """

    name: str
    model: str
    connections: int
    body: int = 0
    turns: int = 1


@dataclass(frozen=True, slots=True)
class Road:
    """A way to the upstream: straight, through the gateway on a database, or through a peer.

    :param processes: whose processor time counts as the road's. :param model: what it calls a
        stream of 20 events, if not as we do.
    """

    name: str
    target: str
    processes: tuple[Process, ...]
    key: str = field(default="bench", repr=False)
    model: str | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes' own; their children count too."""
        return tuple(process.pid for process in self.processes)


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one road.

    :param cpu_ms: what the road's processes spent on a request. :param upstream_busy: how much of a core the upstream took.
    """

    result: Result
    cpu_ms: float
    upstream_busy: float


Repeats = dict[str, list[Measured]]
"""By the road's name."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. :param snapshots: that the large store holds. :param turns: of the long conversation."""

    repeats: int
    seconds: float
    tries: int
    snapshots: int
    turns: int


class Stage:
    """Starts what is asked for, when it is; everything ends with `stack`."""

    def __init__(self, stack: ExitStack, effort: Effort, databases: list[str], *, nginx: str | None, litellm: bool) -> None:
        self.effort = effort
        self.databases = databases
        self.loads: dict[str, Repeats] = {}
        self.raw: dict[str, Any] = {}
        self._stack = stack
        self._nginx = nginx
        self._litellm = litellm
        self._named = 0

    @cached_property
    def upstream(self) -> Upstream:
        """The simulated one."""
        return self._stack.enter_context(Upstream())

    @cached_property
    def cluster(self) -> Cluster:
        """PostgreSQL."""
        say("  starting PostgreSQL")
        return self._stack.enter_context(Cluster())

    def site(self, database: str, stack: ExitStack | None = None) -> Site:
        """A new one, not prepared."""
        self._named += 1
        url = self.cluster.database(f"bench_{self._named}") if database == POSTGRES else None
        return (stack or self._stack).enter_context(Site(self.upstream.url, url))

    def serve(self, site: Site, database: str, stack: ExitStack | None = None) -> tuple[Road, Gateway]:
        """A gateway on a prepared site."""
        gateway = (stack or self._stack).enter_context(Gateway(site))
        processes = (gateway, self.cluster) if database == POSTGRES else (gateway,)
        return Road(database, gateway.target, processes, site.key), gateway

    @cached_property
    def gateways(self) -> dict[str, tuple[Road, Gateway]]:
        """One for each database."""
        served = {}
        for database in self.databases:
            say(f"  starting the gateway on {database}")
            site = self.site(database)
            site.prepare()
            served[database] = self.serve(site, database)
        return served

    @cached_property
    def direct(self) -> Road:
        """Straight to the upstream."""
        return Road("direct", self.upstream.target, (self.upstream,))

    @cached_property
    def nginx(self) -> Road | None:
        """Where it is installed."""
        if not self._nginx:
            return None
        process = self._stack.enter_context(Nginx(self._nginx, self.upstream.url))
        return Road("nginx", process.target, (process,))

    @cached_property
    def litellm(self) -> Road | None:
        """Where it was asked for."""
        if not self._litellm:
            return None
        say("  starting LiteLLM's proxy")
        process = self._stack.enter_context(LiteLLM(self.upstream.url))
        return Road("LiteLLM", process.target, (process,), process.key, process.model)

    @property
    def ours(self) -> list[Road]:
        """The gateway's."""
        return [road for road, _ in self.gateways.values()]

    @property
    def roads(self) -> list[Road]:
        """All but those that only know streams of 20 events."""
        return [road for road in (self.direct, self.nginx, *self.ours) if road]

    def drive(self, road: Road, case: Case, *, warm_up: float, seconds: float, most: int | None = None) -> Measured:
        """Put a load on a road, from a process of its own.

        :raises BenchFailed: not one stream was served.
        """
        arguments = ["--model", road.model or case.model, "--connections", str(case.connections), "--body", str(case.body)]
        arguments += ["--turns", str(case.turns), "--warm-up", str(warm_up), "--seconds", str(seconds)]
        arguments += ["--most", str(most)] if most else []
        began, before, upstream = time.monotonic(), cpu_ms(road.pids), cpu_ms([self.upstream.pid])
        document = _generate("bench.load", road, arguments, warm_up + seconds + _LOAD_MARGIN_SECONDS)
        spent, wall = cpu_ms(road.pids) - before, time.monotonic() - began
        result = Result(**document)
        if not result.requests and result.errors:
            tail = "".join(process.output[-3000:] for process in road.processes)
            raise BenchFailed(f"{road.name}, {case.name}: no stream was served: {result.errors}\n{tail}")
        return Measured(result, spent / result.begun, (cpu_ms([self.upstream.pid]) - upstream) / 1000 / wall)

    def compare(self, case: Case, roads: list[Road] | None = None) -> Repeats:
        """The load on all roads, in turn and repeatedly, so that what disturbs the machine disturbs them alike."""
        repeats: Repeats = {}
        for repeat in range(self.effort.repeats):
            for road in roads or self.roads:
                measured = self.drive(road, case, warm_up=0.7 if repeat == 0 else 0.3, seconds=self.effort.seconds)
                repeats.setdefault(road.name, []).append(measured)
                result = measured.result
                say(f"  {case.name}, {road.name}: {result.requests_per_second:.0f} requests/s", result.errors)
        self.loads[case.name] = repeats
        return repeats

    def flood(self, road: Road, model: str, streams: int) -> Flood:
        """Many paced streams at once."""
        arguments = ["--model", model, "--streams", str(streams), "--pids", *map(str, road.pids)]
        flood = Flood(**_generate("bench.streams", road, arguments, 300))
        say(
            f"  {streams} streams of {model}, {road.name}: {flood.delivered:.0f} events/s, p99 {flood.delay_p99:.0f} ms",
            flood.errors,
        )
        return flood

    @property
    def errors(self) -> int:
        """How many streams of all loads went wrong."""
        return sum(map(errors_of, (each for repeats in self.loads.values() for each in repeats.values())))


def _generate(module: str, road: Road, arguments: list[str], limit: float) -> dict[str, Any]:
    environment = {**os.environ, "FLOWAY_BENCH_KEY": road.key}
    command = [sys.executable, "-m", module, road.target, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise BenchFailed(f"{road.name}, {' '.join(arguments)}: {done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def errors_of(measured: list[Measured]) -> int:
    """How many streams went wrong."""
    return sum(sum(each.result.errors.values()) for each in measured)


def median(measured: list[Measured], what: str | Callable[[Measured], float]) -> float:
    """The median over repeats of one of a result's figures, or of what a function finds."""
    return statistics.median(what(each) if callable(what) else getattr(each.result, what) for each in measured)


def plain(repeats: Repeats) -> dict[str, list[dict[str, Any]]]:
    """For the history."""
    return {road: [asdict(each) for each in measured] for road, measured in repeats.items()}


def say(line: str, errors: dict[str, int] | None = None) -> None:
    """To whoever waits."""
    print(line, f"ERRORS {errors}" if errors else "", file=sys.stderr, flush=True)

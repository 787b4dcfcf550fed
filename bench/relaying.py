"""The rows of the table that compare roads under load."""

from __future__ import annotations

from dataclasses import asdict

from bench.figures import Figure
from bench.stage import POSTGRES, Case, Measured, Road, Stage, errors_of, median
from bench.streams import Flood

SHORT = "short streams (20 events)"
_KB = 1000


def short(stage: Stage) -> list[Figure]:
    """Twenty events, at sixteen and at sixty-four connections."""
    figures = []
    for connections in (16, 64):
        case = Case(f"{SHORT}, c={connections}", "bench-20", connections)
        roads = [*stage.roads, *([stage.litellm] if stage.litellm else [])]
        repeats = stage.compare(case, roads)
        for road in stage.ours:
            must, aim = (0.10, 0.15) if road.name == POSTGRES else (0.15, 0.20)
            figures += _of_nginx("short", case, stage, road, must, aim)
            if stage.litellm:
                ratio = _rate(repeats[road.name]) / max(1e-9, _rate(repeats[stage.litellm.name]))
                figures.append(
                    Figure("short", f"{case.name}, of LiteLLM's proxy", road.name, ratio, "×", None, 10, higher=True)
                )
    return figures


def bursts(stage: Stage) -> list[Figure]:
    """Two hundred events, all at once."""
    case = Case("bursts (200 events), c=16", "bench-200", 16)
    stage.compare(case)
    return [each for road in stage.ours for each in _of_nginx("bursts", case, stage, road, 0.40, 0.60)]


def bodies(stage: Stage) -> list[Figure]:
    """Requests of 500 KB."""
    case = Case("500 KB bodies, c=8", "bench-20", 8, body=500 * _KB)
    stage.compare(case)
    return [each for road in stage.ours for each in _of_nginx("bodies", case, stage, road, None, 0.20)]


def _of_nginx(row: str, case: Case, stage: Stage, road: Road, must: float | None, aim: float) -> list[Figure]:
    """Requests a second as a share of nginx's; events go with them, for every stream has as many."""
    repeats = stage.loads[case.name]
    ours = repeats[road.name]
    detail = f"{_rate(ours):.0f} requests/s, {median(ours, lambda each: each.cpu_ms):.2f} ms CPU each, errors {errors_of(ours)}"
    if stage.nginx is None:
        return [Figure(row, f"{case.name}, requests/s", road.name, _rate(ours), "", higher=True, detail=detail)]
    theirs = repeats["nginx"]
    ratio = _rate(ours) / _rate(theirs)
    detail += f"; nginx {_rate(theirs):.0f}"
    return [Figure(row, f"{case.name}, of nginx", road.name, ratio, "", must, aim, higher=True, detail=detail)]


def _rate(measured: list[Measured]) -> float:
    return median(measured, "requests_per_second")


def first_event(stage: Stage) -> list[Figure]:
    """What the gateway adds before the first event, one connection."""
    case = Case(f"{SHORT}, c=1", "bench-20", 1)
    repeats = stage.compare(case, [stage.direct, *stage.ours])
    figures = []
    for road in stage.ours:
        for which, must, aim in (("p50", 2.0, 1.0), ("p99", None, 4.0)):
            ours, theirs = (median(repeats[name], f"first_event_{which}") for name in (road.name, "direct"))
            detail = f"{ours:.2f} ms, direct {theirs:.2f}"
            name = f"added time to first event, c=1, {which}"
            figures.append(Figure("first", name, road.name, ours - theirs, "ms", must, aim, detail=detail))
    return figures


def paced(stage: Stage) -> list[Figure]:
    """Twenty thousand events a second, on 400 streams."""
    floods = _floods(stage, "bench-400-20", 400, stage.roads)
    figures = []
    for road in stage.ours:
        flood, direct = floods[road.name], floods["direct"]
        late = max(0.0, flood.delay_p99 - direct.delay_p99)
        finished = f"{flood.finished} of {flood.streams} finished, {flood.cpu_us_per_event} µs CPU/event"
        others = ", ".join(f"{name} {each.delivered:.0f}" for name, each in floods.items() if name in {"direct", "nginx"})
        name = "20,000 events/s on 400 streams"
        delivered = Figure("paced", f"{name}, delivered", road.name, flood.delivered, "/s", 17_000, 18_500, higher=True)
        figures.append(_detailed(delivered, f"{finished}; {others}"))
        extra = Figure("paced", f"{name}, p99 extra delay", road.name, late, "ms", 135, 100)
        figures.append(_detailed(extra, f"{flood.delay_p99:.0f} ms, direct {direct.delay_p99:.0f}"))
    return figures


def slow(stage: Stage) -> list[Figure]:
    """Two thousand streams, an event every half second, for ten seconds."""
    floods = _floods(stage, "bench-20-500", 2000, [stage.direct, *stage.ours])
    figures = []
    for road in stage.ours:
        flood, direct = floods[road.name], floods["direct"]
        late = max(0.0, flood.delay_p99 - direct.delay_p99)
        name = "2,000 slow streams"
        share = 100 * flood.finished / flood.streams
        done = Figure("slow", f"{name}, finished", road.name, share, "%", 100, 100, higher=True, detail=str(flood.errors or ""))
        extra = Figure("slow", f"{name}, p99 extra delay", road.name, late, "ms", None, 70)
        memory = Figure("slow", f"{name}, memory of a stream", road.name, flood.per_stream_kb or 0.0, "KB", 120, 75)
        figures += [done, _detailed(extra, f"{flood.delay_p99:.0f} ms, direct {direct.delay_p99:.0f}"), memory]
    return figures


def _detailed(figure: Figure, detail: str) -> Figure:
    return Figure(**{**asdict(figure), "detail": detail})


def _floods(stage: Stage, model: str, streams: int, roads: list[Road]) -> dict[str, Flood]:
    """The median of the repeats on each road, by its delay; of two, the worse one."""
    seen: dict[str, list[Flood]] = {road.name: [] for road in roads}
    for _ in range(max(1, stage.effort.repeats - 1)):
        for road in roads:
            seen[road.name].append(stage.flood(road, model, streams))
    stage.raw[f"{streams} streams of {model}"] = {name: [asdict(each) for each in floods] for name, floods in seen.items()}
    return {name: sorted(floods, key=lambda each: each.delay_p99)[len(floods) // 2] for name, floods in seen.items()}

"""The rows of the table about what is stored: long conversations, and a store that has grown large."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from bench.figures import Figure
from bench.stage import Case, Measured, Road, Stage, median, say


def turns(stage: Stage) -> list[Figure]:
    """Turn 1,000 of a conversation against turn 2; and reading back a thousand items."""
    figures = []
    for database in stage.databases:
        with ExitStack() as stack:
            site = stage.site(database, stack)
            site.prepare()
            found = _found(site.run("-m", "bench.turns", "--turns", str(stage.effort.turns)))
        stage.raw[f"turns, {database}"] = found
        early, late, at = found["early"], found["late"], f"turn {found['late']['turn']:,} against turn 2"
        for what, unit in (("queries", "queries"), ("written_bytes", "bytes written")):
            ratio = late[what] / early[what]
            detail = f"{late[what]:,.0f} against {early[what]:,.0f}"
            figures.append(Figure("turns", f"{at}, {unit}", database, ratio, "×", None, 1.2, detail=detail))
    return [*figures, *_expansion(stage)]


def _expansion(stage: Stage) -> list[Figure]:
    figures = []
    for database in stage.databases:
        with ExitStack() as stack:
            found = _found(stage.site(database, stack).run("-m", "bench.expansion"))
        stage.raw[f"expansion, {database}"] = found
        detail = f"over {found['forks']} forks {found['forked_ms']['p50']:.1f} ms; CPU {found['straight_ms']['cpu']:.1f} ms"
        took = found["straight_ms"]["p50"]
        figures.append(Figure("turns", "expansion of 1,000 items of 1 KB, p50", database, took, "ms", None, 15, detail=detail))
    return figures


def _found(printed: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return document


def large(stage: Stage) -> list[Figure]:
    """An empty store against one with many rows: new conversations, and continued ones."""
    figures = []
    number = stage.effort.snapshots
    for database in stage.databases:
        with ExitStack() as stack:
            roads = {}
            for kind, snapshots in (("empty", 0), ("large", number)):
                say(f"  making the {kind} store on {database}")
                site = stage.site(database, stack)
                site.prepare(snapshots)
                roads[kind] = stage.serve(site, database, stack)[0]
            figures.append(_slowed(stage, database, roads, number))
    return figures


def _slowed(stage: Stage, database: str, roads: dict[str, Road], number: int) -> Figure:
    case = Case(f"conversations of 5 turns, c=1, {database}", "bench-20", 1, turns=5)
    repeats: dict[str, list[Measured]] = {kind: [] for kind in roads}
    for repeat in range(stage.effort.repeats):
        for kind, road in roads.items():
            measured = stage.drive(road, case, warm_up=1.0 if repeat == 0 else 0.5, seconds=stage.effort.seconds)
            repeats[kind].append(measured)
            say(f"  {case.name}, {kind} store: p50 {measured.result.whole_p50:.2f} ms", measured.result.errors)
    stage.loads.update({f"{case.name}, {kind} store": {database: measured} for kind, measured in repeats.items()})
    empty, large = (median(repeats[kind], "whole_p50") for kind in ("empty", "large"))
    cpu = [median(repeats[kind], lambda each: each.cpu_ms) for kind in ("empty", "large")]
    detail = f"{large:.2f} ms against {empty:.2f}; CPU {cpu[1]:.2f} against {cpu[0]:.2f}"
    name = f"{number:,} snapshots, {number * 10:,} items, {number:,} exchanges stored, p50 against an empty store"
    return Figure("large", name, database, large / empty, "×", None, 1.2, detail=detail)

"""Key order: the official client's is fixed, and part of what a request looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from floway.wire.json import JSON


def in_order(values: Mapping[str, JSON], order: Sequence[str]) -> dict[str, JSON]:
    """`values` in the given order; a key that it doesn't know stays behind the known one that it followed.

    So a client newer than the profile keeps its own new keys where it put them.
    """
    known = {key: values[key] for key in order if key in values}
    if len(known) == len(values):
        return known
    ranks = {key: rank for rank, key in enumerate(order)}
    placed: list[tuple[int, bool, str]] = []
    rank = -1
    for key in values:
        rank = ranks.get(key, rank)
        placed.append((rank, key not in ranks, key))
    return {key: values[key] for _, _, key in sorted(placed, key=lambda place: place[:2])}

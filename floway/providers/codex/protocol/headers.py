"""Outbound header lines, built from an empty list: what a profile doesn't name cannot go out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from floway.providers.contract import ProviderRefused
from floway.wire.headers import HeaderLine
from floway.wire.json import JSONObject

# Printable ASCII but for what parts a hint: " ", ";", "," and "=".
_WORD = re.compile(r"[!-+\--:<>-~]{1,128}")


def lines(order: Sequence[str], values: Mapping[str, str | None]) -> tuple[HeaderLine, ...]:
    """Those of `values` that are there, in the profile's order."""
    return tuple([(name, value) for name in order if (value := values.get(name)) is not None])


def insert(existing: Sequence[HeaderLine], order: Sequence[str], name: str, value: str) -> tuple[HeaderLine, ...]:
    """`existing` with one more line in the place that the profile gives it."""
    return lines(order, dict(existing) | {name: value})


def routing_hint(body: JSONObject) -> str:
    """`model=<slug>`, with `;tier=<tier>` where one is asked for.

    :raises ProviderRefused: a name that cannot stand in a header; no model or tier is called that.
    """
    hint = f"model={_word(body.get('model'), 'model')}"
    tier = body.get("service_tier")
    return hint if tier is None else f"{hint};tier={_word(tier, 'service_tier')}"


def _word(value: object, param: str) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ProviderRefused(f"'{param}' names nothing that exists.", param=param, code="invalid_value")
    return value

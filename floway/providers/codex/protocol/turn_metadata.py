"""The turn metadata: one JSON object that says what a request is, the same string in a header and in the body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from floway.providers.codex.protocol.ordering import in_order
from floway.providers.contract import ProviderRefused
from floway.wire.json import JSON, InvalidJSON, dumps_ascii, loads

LONGEST = 16 * 1024


def parse(text: str) -> dict[str, JSON] | None:
    """The object that `text` spells, or None where it spells none."""
    try:
        value = loads(text)
    except InvalidJSON:
        return None
    return value if isinstance(value, dict) else None


def compose(
    callers: Mapping[str, JSON], mirrored: Mapping[str, JSON], own: Mapping[str, JSON], order: Sequence[str]
) -> dict[str, JSON]:
    """The caller's object with the gateway's statements merged in.

    :param mirrored: what other surfaces state too: overrides the caller's.
    :param own: what the gateway says where the caller says nothing.
    :param order: the profile's keys; no others are added, though those that the caller has are still overridden.
    """
    stated = {**own, **callers, **mirrored}
    known = {key: stated[key] for key in order if key in stated}
    if callers.keys() <= known.keys():
        return known
    return in_order({key: value for key, value in stated.items() if key in known or key in callers}, order)


def encode(metadata: Mapping[str, JSON], param: str) -> str:
    """Compact JSON that can stand in a header: printable ASCII alone.

    :raises ProviderRefused: what the caller put into it is too long to be sent.
    """
    text = dumps_ascii(dict(metadata)).replace("\x7f", "\\u007f")
    if len(text) > LONGEST:
        raise ProviderRefused(f"'{param}' is longer than {LONGEST} characters.", param=param, code="invalid_value")
    return text

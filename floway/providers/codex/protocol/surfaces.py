"""The three places in which a request states who it is, read once and asked alike."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from floway.providers.codex.protocol import turn_metadata
from floway.providers.codex.protocol.constants import STATING_HEADERS, TURN_METADATA
from floway.providers.contract import ResponsesRequest
from floway.wire.json import JSON, JSONObject

_NOTHING: JSONObject = MappingProxyType({})


class Surface(enum.StrEnum):
    """Where an id may stand; the value is the operator's word for it."""

    HEADER = "header"
    CLIENT_METADATA = "client_metadata"
    TURN_METADATA = "turn metadata"


# A WebSocket's headers are those of its handshake and frozen, its frames are not: there the body is asked first.
_ORDER: dict[Literal["http", "websocket"], tuple[Surface, ...]] = {
    "http": (Surface.HEADER, Surface.CLIENT_METADATA, Surface.TURN_METADATA),
    "websocket": (Surface.CLIENT_METADATA, Surface.TURN_METADATA, Surface.HEADER),
}
_METADATA = {Surface.HEADER: (TURN_METADATA,), Surface.CLIENT_METADATA: (TURN_METADATA,)}

Look = Callable[[str], JSON]


@dataclass(frozen=True, slots=True)
class Surfaces:
    """A request's statements about itself, each surface as a mapping of names to values.

    :param looks: how to look something up on each surface that has anything to tell, in the order of precedence.
    """

    client_metadata: JSONObject
    turn_metadata: JSONObject
    looks: tuple[tuple[Surface, Look], ...]

    def stated(self, names: Mapping[Surface, tuple[str, ...]]) -> list[tuple[str, str]]:
        """(value, source) for every one of `names` that is stated, in the order of precedence."""
        found = []
        for surface, look in self.looks:
            for name in names.get(surface, ()):
                value = look(name)
                if isinstance(value, str) and (value := value.strip()):
                    found.append((value, f"{surface} {name}"))
        return found


def read(inbound: ResponsesRequest) -> Surfaces:
    """The surfaces of a request. Turn metadata that is no JSON object is as good as none."""
    client = inbound.body.get("client_metadata")
    client = client if isinstance(client, dict) else _NOTHING
    # Most callers are of no dialect and state nothing: then no name is looked for anywhere.
    headers = None if STATING_HEADERS.isdisjoint(inbound.headers.names) else inbound.headers.get
    if headers is None and not client:
        return _SILENT
    looks: dict[Surface, Look | None] = {Surface.HEADER: headers, Surface.CLIENT_METADATA: client.get if client else None}
    stated = Surfaces(client, _NOTHING, _asked(looks, inbound)).stated(_METADATA)
    turn = next((metadata for value, _ in stated if (metadata := turn_metadata.parse(value)) is not None), _NOTHING)
    looks[Surface.TURN_METADATA] = turn.get if turn else None
    return Surfaces(client, turn, _asked(looks, inbound))


def _asked(looks: Mapping[Surface, Look | None], inbound: ResponsesRequest) -> tuple[tuple[Surface, Look], ...]:
    return tuple([(surface, look) for surface in _ORDER[inbound.transport] if (look := looks.get(surface)) is not None])


_SILENT = Surfaces(_NOTHING, _NOTHING, ())

"""The three places in which a request states who it is, read once and asked alike."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from floway.providers.codex.protocol import turn_metadata
from floway.providers.codex.protocol.constants import TURN_METADATA
from floway.providers.contract import ResponsesRequest
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject

_NOTHING: JSONObject = MappingProxyType({})


class Surface(enum.Enum):
    """Where an id may stand; the value is the operator's word for it."""

    HEADER = "header"
    CLIENT_METADATA = "client_metadata"
    TURN_METADATA = "turn metadata"


# A WebSocket's headers are those of its handshake and frozen, its frames are not: there the body is asked first.
_ORDER: dict[Literal["http", "websocket"], tuple[Surface, ...]] = {
    "http": (Surface.HEADER, Surface.CLIENT_METADATA, Surface.TURN_METADATA),
    "websocket": (Surface.CLIENT_METADATA, Surface.TURN_METADATA, Surface.HEADER),
}


@dataclass(frozen=True, slots=True)
class Surfaces:
    """A request's statements about itself, each surface as a mapping of names to values."""

    headers: Headers
    client_metadata: JSONObject
    turn_metadata: JSONObject
    order: tuple[Surface, ...]

    def stated(self, names: Mapping[Surface, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
        """(value, source) for every one of `names` that is stated, in the order of precedence."""
        for surface in self.order:
            for name in names.get(surface, ()):
                if value := text(self._look(surface, name)):
                    yield value, f"{surface.value} {name}"

    def _look(self, surface: Surface, name: str) -> JSON:
        if surface is Surface.HEADER:
            return self.headers.get(name)
        column = self.client_metadata if surface is Surface.CLIENT_METADATA else self.turn_metadata
        return column.get(name)


def read(inbound: ResponsesRequest) -> Surfaces:
    """The surfaces of a request. Turn metadata that is no JSON object is as good as none."""
    order = _ORDER[inbound.transport]
    client = inbound.body.get("client_metadata")
    bare = Surfaces(inbound.headers, client if isinstance(client, dict) else _NOTHING, _NOTHING, order)
    names = {Surface.HEADER: (TURN_METADATA,), Surface.CLIENT_METADATA: (TURN_METADATA,)}
    parsed = (turn_metadata.parse(value) for value, _ in bare.stated(names))
    stated = next((metadata for metadata in parsed if metadata is not None), _NOTHING)
    return Surfaces(bare.headers, bare.client_metadata, stated, order)


def text(value: JSON) -> str | None:
    """`value` trimmed, or None where it is no string or an empty one."""
    return value.strip() or None if isinstance(value, str) else None

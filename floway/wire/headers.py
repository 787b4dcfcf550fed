"""An ordered, case-insensitive view of HTTP header lines, as they came or as they shall go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, Sequence
from dataclasses import dataclass, field

HeaderLine = tuple[str, str]

SECRET = frozenset({"authorization", "proxy-authorization", "x-api-key", "cookie", "set-cookie"})
"""Names, in lower case, of lines that nobody but their reader may see."""


def bearer(authorization: str | None) -> str | None:
    """The token of an `authorization` value of that scheme; None where it is of another, or empty."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Headers:
    """Header lines in order, names compared without case; the first of equal names wins a lookup."""

    lines: tuple[HeaderLine, ...] = ()
    _first: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first", {name.lower(): value for name, value in reversed(self.lines)})

    @classmethod
    def of(cls, lines: Iterable[HeaderLine]) -> Headers:
        """Headers from any iterable of (name, value)."""
        return cls(tuple(lines))

    def get(self, name: str) -> str | None:
        """The first value under `name`, stripped of outer white space, or None where absent or empty."""
        value = self._first.get(name.lower())
        return value.strip() or None if value else None

    def every(self, name: str) -> Sequence[str]:
        """Every value under `name`, which is in lower case, in their order and as they came."""
        first = self._first.get(name)
        if first is None:
            return ()
        if len(self._first) == len(self.lines):
            return (first,)
        return [value for key, value in self.lines if key.lower() == name]

    @property
    def names(self) -> KeysView[str]:
        """Every name once, in lower case."""
        return self._first.keys()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._first

    def __iter__(self) -> Iterator[HeaderLine]:
        return iter(self.lines)

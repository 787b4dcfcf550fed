"""How a context window is spelled: the thread, a colon, and the number that the gateway hands out."""

from __future__ import annotations

import re

from floway.providers.contract import Numbered, Opaque

_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_LIMIT = 2**31


def spell(thread_id: str, number: int) -> str:
    """The window id that goes out."""
    return f"{thread_id}:{number}"


def read(window_id: str, thread_id: str) -> Numbered | Opaque:
    """What a caller means by its window id: a number of this very thread, or a name of its own that the gateway maps."""
    prefix, colon, number = window_id.rpartition(":")
    if colon and prefix == thread_id and _NUMBER.fullmatch(number) and int(number) < _LIMIT:
        return Numbered(int(number))
    return Opaque(window_id)

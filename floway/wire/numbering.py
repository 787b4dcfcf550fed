"""The `sequence_number` of an event, replaced in its bytes: exactly the one that is the payload's own, and nothing else.

Inside a JSON string a quotation mark is always escaped, so the bytes `"sequence_number"` with both marks bare are a whole
string: a key or a value, never a piece of text. If they stand there once and the payload holds one object only, it is the
payload's own key. Whatever leaves a doubt is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import count

from floway.wire.json import JSON, InvalidJSON, dumps, mend

_NAME = b'"sequence_number"'
_KEY = b'"sequence_number":'


def is_numbered(data: bytes, number: int) -> bool:
    """Is that the number which the payload, or what stands around it, states first and in the shortest way?"""
    return b'"sequence_number":%d}' % number in data or b'"sequence_number":%d,' % number in data


def are_numbered(run: Sequence[bytes], first: int) -> bool:
    """Are they numbered one by one from `first` on?"""
    # The number stands last nearly always, and looking for it there takes a fraction of the time.
    if all(map(bytes.endswith, run, map(_end, count(first)))):
        return True
    return all(is_numbered(data, number) for number, data in enumerate(run, first))


@lru_cache(maxsize=2048)
def _end(number: int) -> bytes:
    """How a payload ends whose number stands last. Every stream counts from 0."""
    return b'"sequence_number":%d}' % number


def renumbered(data: bytes, number: int) -> bytes:
    """The payload with `number` as its sequence number, on one line; without a number it is given one.

    :raises InvalidJSON: it had to be parsed and cannot be.
    """
    key = data.find(_NAME)
    if key < 0:
        if data.startswith(b'{"') and b"\n" not in data:
            return b'{"sequence_number":%d,%b' % (number, data[1:])
    elif data.find(_NAME, key + 1) < 0 and data.startswith(_KEY, key):
        start = key + len(_KEY)
        comma = data.find(b",", start)
        end = comma if comma >= 0 else len(data) - 1
        if data[start:end].isdigit() and b"\n" not in data and (data.find(b"{", 1) < 0 or "sequence_number" in _object(data)):
            return b"%b%d%b" % (data[:start], number, data[end:])
    return dumps({**_object(data), "sequence_number": number})


def _object(data: bytes) -> dict[str, JSON]:
    payload = mend(data)
    if not isinstance(payload, dict):
        raise InvalidJSON("no object")
    return payload

"""What makes an event so much like one that was read before that it need not be read: how it begins, and where it belongs."""

from __future__ import annotations

from typing import NamedTuple

from floway.wire.json import JSONObject, dumps

_VARIES = b'"delta":', b'"sequence_number":'


class Likeness(NamedTuple):
    """A frame is alike if it begins with `head`, goes on with one line, and holds each of `needles`.

    In JSON text a key's closing quotation mark is bare, so text that quotes a key is not taken for it.

    :param start: where its data begin, inside of `head`.
    """

    event: str
    start: int
    head: bytes
    needles: tuple[bytes, ...]

    def is_of(self, chunk: bytes) -> bool:
        """Are these bytes one frame like it, its blank line included?"""
        _, start, head, needles = self
        return (
            start > 0
            and chunk.startswith(head)
            and chunk.find(b"\n", start) == len(chunk) - 2
            and chunk.endswith(b"\n")
            and b"\r" not in chunk
            and (not needles or holds(chunk, needles))
        )


NOTHING = Likeness("", 0, b"\n\n", ())
"""No frame has an empty line in it."""


def likeness(event: str, data: bytes, place: JSONObject) -> Likeness | None:
    """What events like this one have in common; None where its data spells its place in another way.

    :param place: `output_index`, and `item_id` and `content_index` where the event has them.
    """
    needles = [_needle(key, dumps(value), data) for key, value in place.items()]
    if "item_id" not in place or None in needles:
        return None
    before = b"event: %b\ndata: " % event.encode()
    same = data[: min((at for key in _VARIES if (at := data.find(key)) >= 0), default=0)]
    apart = tuple(needle for needle in needles if needle is not None and needle not in same)
    return Likeness(event, len(before), before + same, apart)


def holds(body: bytes, needles: tuple[bytes, ...]) -> bool:
    """Do all of them stand in it?"""
    return all(needle in body for needle in needles)


def _needle(key: str, value: bytes, data: bytes) -> bytes | None:
    """The bytes by which `data` gives `key` that value, its end included; None where it spells it otherwise."""
    stated = b'"%b":%b' % (key.encode(), value)
    if b"%b," % stated in data:
        return b"%b," % stated
    return b"%b}" % stated if b"%b}" % stated in data else None

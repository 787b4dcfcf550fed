"""HTTP/1.1 body framing as values: raw bytes in, body bytes out, and whether the body has ended."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

_LONGEST_LINE = 16 * 1024
_MOST_DIGITS = 8
_PLAIN_SIZE = re.compile(rb"[0-9a-fA-F]+")


class BrokenFraming(ValueError):
    """The bytes are not the framing that the headers announced."""


class LastPiece(bytes):
    """The last bytes of a body: a server that knows them as such sends the body's end along. To others they are bytes."""


class Body(Protocol):
    """How far a body has come. What comes behind its end is not of it: it is dropped, and nobody knows what it means.

    :ivar ends_with_connection: its end is the connection's end, so no cut can be told.
    :ivar overran: something came behind its end, so the connection may not be used again.
    """

    done: bool
    ends_with_connection: bool
    overran: bool

    def feed(self, data: bytes) -> bytes:
        """The body bytes in `data`.

        :raises BrokenFraming: see there.
        """


class SizedBody:
    """A body of a stated length."""

    ends_with_connection = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.overran = False

    def feed(self, data: bytes) -> bytes:
        """See Body."""
        if len(data) > self._left:
            data, self.overran = data[: self._left], True
        self._left -= len(data)
        self.done = self._left == 0
        return data


class UnsizedBody:
    """A body that lasts as long as its connection."""

    ends_with_connection = True
    done = False
    overran = False

    def feed(self, data: bytes) -> bytes:
        """See Body."""
        return data


class ChunkedBody:
    """A body in chunks (RFC 9112 §7.1); extensions and trailers are passed over."""

    ends_with_connection = False

    def __init__(self) -> None:
        self.done = False
        self.overran = False
        self._held = b""
        self._left = 0
        self._after_chunk = False
        self._in_trailers = False

    def feed(self, data: bytes) -> bytes:
        """See Body."""
        if self._held:
            data, self._held = self._held + data, b""
        out: list[bytes] = []
        position, looked = 0, False
        while position < len(data):
            if self.done:
                self.overran = True
                break
            if not (looked or self._left or self._after_chunk or self._in_trailers):
                position, looked = _whole_chunks(data, position, out), True  # once: it looks through all that came
                if position == len(data):
                    break
            if self._left:
                piece = data[position : position + self._left]
                out.append(piece)
                position += len(piece)
                self._left -= len(piece)
                self._after_chunk = not self._left
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._hold(data[position:])
                break
            self._take_line(data[position:end].rstrip(b"\r"))
            position = end + 1
        return out[0] if len(out) == 1 else b"".join(out)

    def _hold(self, part: bytes) -> None:
        if len(part) > _LONGEST_LINE:
            raise BrokenFraming("a chunk header without end")
        self._held = part

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.done = not line
        elif self._after_chunk:
            if line:
                raise BrokenFraming("a chunk longer than it said")
            self._after_chunk = False
        else:
            size = line.partition(b";")[0].strip()
            if len(size) > _MOST_DIGITS or not _PLAIN_SIZE.fullmatch(size):
                raise BrokenFraming("a chunk size that is none")
            self._left = int(size, 16)
            self._in_trailers = self._left == 0


def _whole_chunks(data: bytes, position: int, out: list[bytes]) -> int:
    """Takes chunks as nearly everybody writes them while they are there in full; returns where the next begins."""
    parts = data[position:].split(b"\r\n")
    parts.pop()  # whose end is still to come
    for line, piece in zip(parts[::2], parts[1::2]):  # noqa: B905 - the last size may wait for its chunk
        if not piece or len(line) > _MOST_DIGITS or _plain_size(line) != len(piece):
            break
        out.append(piece)
        position += len(line) + len(piece) + 4
    return position


@lru_cache(maxsize=1024)
def _plain_size(line: bytes) -> int:
    """The size of a chunk that is stated without more, else -1. Events have few lengths."""
    return int(line, 16) if _PLAIN_SIZE.fullmatch(line) else -1

"""Server-sent events: bytes, however cut, to whole frames, and a payload to a frame.

The grammar is that of the WHATWG HTML standard, §9.2.6: lines end with LF, CR or CRLF, a blank line ends a frame, a leading
byte order mark and comments mean nothing. Line ends are turned to LF on the way in, so that one search finds a frame's end.
"""

from __future__ import annotations

from typing import NamedTuple

from floway.wire.json import JSON, dumps

DEFAULT_LIMIT = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_NAME = b"event: "


class Frame(NamedTuple):
    """One event: a tuple rather than a dataclass, because thousands are made per second.

    :param raw: the whole frame, comments left out, lines ended by LF, its blank line included.
    :param event: its `event` field, None where absent or empty.
    :param data: its data lines joined by LF; None where it has none.
    """

    raw: bytes
    event: str | None
    data: bytes | None


class InvalidFrame(ValueError):
    """An event that cannot be relayed; `str` says why without quoting it."""


class FrameTooLarge(InvalidFrame):
    """A frame grew past the limit. `bodies`: those of the whole ones that came before it in the same bytes."""

    def __init__(self, limit: int, bodies: list[bytes]) -> None:
        super().__init__(f"an event larger than {limit} bytes")
        self.bodies = bodies


class FrameDecoder:
    """Cuts a byte stream into frames.

    :param limit: bytes that one frame may hold, comments and what is still buffered included.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._pending: list[bytes] = []
        self._size = 0
        self._at_start = True
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that `chunk` completes.

        :raises FrameTooLarge: see there.
        """
        return [frame for body in self.cut(chunk) if (frame := parsed(body)) is not None]

    def cut(self, chunk: bytes) -> list[bytes]:
        """The frames that `chunk` completes, unparsed and without their blank lines; what has no line in it is no frame.

        :raises FrameTooLarge: see there.
        """
        if self._at_start or self._after_cr or b"\r" in chunk:
            chunk = self._normalised(chunk)
        pending = self._pending
        if not pending:
            return self._bodies(chunk)
        if not chunk:
            return []
        if b"\n\n" in chunk or (chunk[0] == 0x0A and pending[-1][-1] == 0x0A):
            pending.append(chunk)
            buffer = b"".join(pending)
            pending.clear()
            return self._bodies(buffer)
        self._hold(chunk, [])
        return []

    def may_begin(self, size: int) -> bool:
        """Would a frame of so many bytes begin with the next byte, and none be in the way of its end?"""
        return not (self._pending or self._at_start or self._after_cr) and size <= self._limit

    def finish(self) -> bool:
        """The stream is over: did it end inside a frame? Such a frame is never dispatched."""
        return self._size > 0

    def _normalised(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return self._without_bom(chunk) if self._at_start else chunk

    def _without_bom(self, chunk: bytes) -> bytes:
        start = b"".join(self._pending) + chunk
        self._pending.clear()
        self._size = 0
        self._at_start = len(start) < len(_BOM) and _BOM.startswith(start)
        return start.removeprefix(_BOM)

    def _bodies(self, buffer: bytes) -> list[bytes]:
        bodies = buffer.split(b"\n\n")
        rest = bodies.pop()
        self._size = 0
        if len(buffer) > self._limit:
            self._refuse_large(bodies)
        if rest[:1] == b"\n":
            rest = rest.lstrip(b"\n")
        if rest:
            self._hold(rest, bodies)
        return bodies

    def _refuse_large(self, bodies: list[bytes]) -> None:
        for position, body in enumerate(bodies):
            if len(body) > self._limit:
                raise FrameTooLarge(self._limit, bodies[:position])

    def _hold(self, part: bytes, bodies: list[bytes]) -> None:
        self._pending.append(part)
        self._size += len(part)
        # One byte more, for it may be the first half of the blank line.
        if self._size > self._limit + 1:
            raise FrameTooLarge(self._limit, bodies)


def encode(event_type: str, payload: JSON) -> bytes:
    """One frame: the event's name and its payload as JSON on a single line."""
    return encode_data(event_type, dumps(payload))


def encode_data(event_type: str, data: bytes) -> bytes:
    """One frame around data that is a single line."""
    return b"event: %b\ndata: %b\n\n" % (event_type.encode(), data)


def parsed(body: bytes) -> Frame | None:
    """The frame that was cut out, None where it holds nothing but comments."""
    head, _, data = body.partition(b"\ndata: ")
    name = head.removeprefix(_NAME)
    if data and name and name != head and b"\n" not in data and b"\n" not in name:
        return Frame(body + b"\n\n", name.decode("utf-8", "replace"), data)
    return _parsed_by_line(body)


def _parsed_by_line(body: bytes) -> Frame | None:
    lines = [line for line in body.split(b"\n") if line and not line.startswith(b":")]
    if not lines:
        return None
    event: bytes | None = None
    data: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
    kept = b"\n".join(lines) + b"\n\n"
    return Frame(kept, event.decode("utf-8", "replace") if event else None, b"\n".join(data) if data else None)

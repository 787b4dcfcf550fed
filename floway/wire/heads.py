"""HTTP/1.1 heads: a request's lines to bytes; the bytes of an answer's head to a value, strictly.

What an answer may be read as in two ways is refused (RFC 9112 §5.2, §6): folded lines, lengths that differ, codings other
than `chunked` once, control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from floway.wire.framing import Body, ChunkedBody, SizedBody, UnsizedBody
from floway.wire.headers import HeaderLine, Headers

LARGEST_HEAD = 256 * 1024
_MOST_LINES = 512
_LINE = re.compile(r"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)\r\n", re.MULTILINE)
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?")
_BODILESS = frozenset({204, 304})


class InvalidHead(ValueError):
    """A head that cannot be sent, or one that cannot be understood; `str` says why without quoting it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer.

    :param keeps: the connection may serve another request when the body has ended.
    """

    status: int
    headers: Headers
    keeps: bool
    _length: int | None = field(repr=False)
    _chunked: bool = field(repr=False)

    @property
    def interim(self) -> bool:
        """Is another head to follow it?"""
        return self.status < 200

    def body(self) -> Body:
        """The framing of what follows."""
        if self.status in _BODILESS:
            return SizedBody(0)
        if self._chunked:
            return ChunkedBody()
        return UnsizedBody() if self._length is None else SizedBody(self._length)


def request_head(method: str, target: str, lines: Iterable[HeaderLine]) -> bytes:
    """The bytes of a request's head, its lines in the order and case given.

    :raises InvalidHead: a line that would be more than one, or that is not latin-1.
    """
    if " " in target or not target.isascii():
        raise InvalidHead("a target that is none")
    parts = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in lines], "", ""]
    text = "\n".join(parts)
    if text.count("\n") >= len(parts) or "\r" in text or "\0" in text:
        raise InvalidHead("a header line that holds a line's end")
    try:
        return text.replace("\n", "\r\n").encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHead("a header line that is not latin-1") from error


def answer_head(data: bytes) -> Head:
    """The head of an answer, without the blank line that ends it.

    :raises InvalidHead: see there.
    """
    first, _, rest = data.partition(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise InvalidHead("no status line of HTTP/1")
    if status[2] == b"101":
        raise InvalidHead("a change of protocols that nobody asked for")
    headers = Headers(_lines(rest.decode("latin-1")))
    length, chunked = _length(headers), _is_chunked(headers)
    said = {option.strip().lower() for value in headers.every("connection") for option in value.split(",")}
    keeps = "close" not in said and (status[1] == b"1" or "keep-alive" in said)
    # Who says both, or speaks of chunks in a version without them, may mean another end than we found (RFC 9112 §6.1, §6.3).
    doubtful = chunked and (length is not None or status[1] == b"0")
    return Head(int(status[2]), headers, keeps and not doubtful, length, chunked)


def _lines(text: str) -> tuple[HeaderLine, ...]:
    """As they stand, each ended but for the last."""
    if text:
        text += "\r\n"
    lines = _LINE.findall(text)
    # Each match is one whole line, so that none was passed over if there are as many as ends.
    if len(lines) > _MOST_LINES or len(lines) != text.count("\n"):
        raise InvalidHead("a header line that is none")
    return tuple([(name, value.strip(" \t")) for name, value in lines])


def _length(headers: Headers) -> int | None:
    stated = set(headers.every("content-length"))
    if not stated:
        return None
    text = stated.pop()
    if stated or not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidHead("a content-length that is none")
    return int(text)


def _is_chunked(headers: Headers) -> bool:
    codings = headers.every("transfer-encoding")
    if codings and [coding.lower() for coding in codings] != ["chunked"]:
        raise InvalidHead("a transfer-encoding that is not chunked")
    return bool(codings)

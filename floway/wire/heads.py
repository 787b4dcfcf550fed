"""HTTP/1.1 heads: a request's lines to bytes; the bytes of an answer's head to a value, strictly.

What an answer may be read as in two ways is refused (RFC 9112 §5.2, §6): folded lines, lengths that differ, codings that are
not `chunked`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from floway.wire.framing import Body, ChunkedBody, SizedBody, UnsizedBody
from floway.wire.headers import HeaderLine, Headers

LARGEST_HEAD = 256 * 1024
_MOST_LINES = 512
_UNSAFE = re.compile(r"[\r\n\0]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
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
        return 100 <= self.status < 200 and self.status != 101

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
    text = f"{method} {target} HTTP/1.1"
    if " " in target or not target.isascii():
        raise InvalidHead("a target that is none")
    parts = [text, *(f"{name}: {value}" for name, value in lines), "", ""]
    if any(map(_UNSAFE.search, parts)):
        raise InvalidHead("a header line that holds a line's end")
    try:
        return "\r\n".join(parts).encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHead("a header line that is not latin-1") from error


def answer_head(data: bytes) -> Head:
    """The head of an answer, without the blank line that ends it.

    :raises InvalidHead: see there.
    """
    first, *rest = data.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or len(rest) > _MOST_LINES:
        raise InvalidHead("no status line of HTTP/1")
    headers = Headers(tuple(map(_line, rest)))
    length, chunked = _length(headers), _is_chunked(headers)
    said = (headers.get("connection") or "").lower()
    keeps = "close" not in said if status[1] == b"1" else "keep-alive" in said
    return Head(int(status[2]), headers, keeps and not (chunked and length is not None), length, chunked)


def _line(line: bytes) -> HeaderLine:
    name, colon, value = line.decode("latin-1").partition(":")
    if not colon or not _NAME.fullmatch(name) or _UNSAFE.search(value):
        raise InvalidHead("a header line that is none")
    return name, value.strip(" \t")


def _values(headers: Headers, name: str) -> set[str]:
    return {value for key, value in headers if key.lower() == name} if name in headers else set()


def _length(headers: Headers) -> int | None:
    stated = _values(headers, "content-length")
    if not stated:
        return None
    text = stated.pop()
    if stated or not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise InvalidHead("a content-length that is none")
    return int(text)


def _is_chunked(headers: Headers) -> bool:
    codings = _values(headers, "transfer-encoding")
    if codings and {coding.lower() for coding in codings} != {"chunked"}:
        raise InvalidHead("a transfer-encoding that is not chunked")
    return bool(codings)

"""JSON as the wire knows it: strict on the way in, compact on the way out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

# A JSON value. `Any` on purpose: a recursive alias makes every reader cast, and the values are foreign anyway.
JSON = Any
JSONObject = Mapping[str, Any]


# orjson writes 254 levels though it reads 1024. What has been read is written again inside something else: hence the room.
_WRITABLE_LEVELS = 254
_ROOM = 16
# Above this, writing it to see whether it can be written is quicker than counting.
_COUNTABLE = 4096
_LEVELS = _WRITABLE_LEVELS - _ROOM
# What is no longer than this cannot open and close as many.
_SHALLOW = 2 * _LEVELS


class InvalidJSON(ValueError):
    """The bytes are not JSON that every party can store and send on; `str(error)` says why, without quoting them."""


def loads(data: bytes | str) -> JSON:
    """Parse strict JSON (RFC 8259).

    Refuses what some later hop would choke on: invalid UTF-8, NaN and Infinity, lone surrogates, nesting beyond 238 levels.
    Integers that fit no 64 bits become floats, and those that fit no float are refused. U+0000 is refused because
    PostgreSQL's text and jsonb cannot hold it.

    :raises InvalidJSON: the input is none of that.
    """
    try:
        value = orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise InvalidJSON(str(error).partition(":")[0] or "not JSON") from error
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    # The search for one byte is many times as fast, and most bodies have none.
    if b"\\" in raw and b"\\u0000" in raw and _holds_nul(value):
        raise InvalidJSON("a string holds the character U+0000")
    if len(raw) > _SHALLOW and (len(raw) > _COUNTABLE or raw.count(b"[") + raw.count(b"{") > _LEVELS):
        _refuse_unwritable(value)
    return value


def mend(data: bytes) -> JSON:
    """Parse an upstream's JSON: what `loads` refuses inside strings becomes U+FFFD, for an answer is not lost over it.

    :raises InvalidJSON: it is no JSON even so.
    """
    try:
        return loads(data)
    except InvalidJSON:
        pass
    try:
        value = _mended(json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse))
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InvalidJSON("not JSON") from error
    _refuse_unwritable(value)
    return value


def dumps(value: JSON) -> bytes:
    """Compact UTF-8 JSON, keys in the order they stand."""
    return orjson.dumps(value)


def dumps_ascii(value: JSON) -> str:
    """Compact JSON in ASCII only, for places such as header values that carry nothing else."""
    text = orjson.dumps(value).decode()
    if text.isascii():
        return text
    return "".join(_escape(character) for character in text)


def dumps_canonical(value: JSON) -> bytes:
    """Compact UTF-8 JSON with sorted keys: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _escape(character: str) -> str:
    point = ord(character)
    if point < 0x80:
        return character
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"


def _refuse_unwritable(value: JSON) -> None:
    for _ in range(_ROOM):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise InvalidJSON("nested too deeply") from error


def _refuse(constant: str) -> JSON:
    raise InvalidJSON(f"{constant} is no JSON")


def _mended(value: JSON) -> JSON:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_mended(inner) for inner in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, float) and math.isinf(value):
        raise InvalidJSON("a number beyond every bound")
    return value


def _holds_nul(value: JSON) -> bool:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            if "\0" in current:
                return True
        elif isinstance(current, dict):
            pending.extend(current)
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(current)
    return False

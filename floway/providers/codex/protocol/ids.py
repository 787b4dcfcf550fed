"""Ids as the official client makes them: time-ordered for turns and sessions, name-based for the base instructions."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

from floway.providers.contract import Entropy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OID = uuid.NAMESPACE_OID.bytes


def unix_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970 of an aware moment, without a detour through floats."""
    return (moment - _EPOCH) // _MILLISECOND


def uuid7(moment: datetime, entropy: Entropy) -> str:
    """A UUIDv7 (RFC 9562 §5.7) of `moment`; draws ten bytes.

    The time is real on purpose: the backend was seen to replace ids whose version 7 holds an impossible one.
    """
    drawn = int.from_bytes(entropy(10), "big")
    value = (unix_ms(moment) & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (drawn >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | drawn & (1 << 62) - 1
    return _spelled(f"{value:032x}")


def _spelled(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid5(namespace: bytes, name: str) -> bytes:
    """RFC 9562 §5.5, as bytes: `uuid.uuid5` builds and checks an object on the way to each."""
    drawn = bytearray(hashlib.sha1(namespace + name.encode(), usedforsecurity=False).digest()[:16])
    drawn[6] = 0x50 | drawn[6] & 0x0F
    drawn[8] = 0x80 | drawn[8] & 0x3F
    return bytes(drawn)


def instructions_item_id(thread_id: str, instructions: str) -> str:
    """The id of the developer message that carries the base instructions: the same for a thread and a text."""
    return f"msg_{_spelled(_uuid5(_uuid5(_OID, thread_id), instructions).hex())}"


def is_uuid4(text: object) -> bool:
    """Is `text` a UUIDv4 in its canonical spelling?"""
    if not isinstance(text, str):
        return False
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return False
    return parsed.version == 4 and str(parsed) == text

"""When to try again, as the backend says it: in a header, or in the words of its message."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from floway.wire.headers import Headers

SOON_SECONDS = 5
_LONGEST_SECONDS = 3600
_IN_WORDS = re.compile(r"try again in (\d{1,6}(?:\.\d{1,6})?) ?(ms|s|seconds?|m|minutes?)\b", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60}


def retry_after(headers: Headers, message: str | None, now: datetime | None) -> int | None:
    """Whole seconds from 1 to an hour, or None where nothing usable is said.

    :param now: needed for a header that names a date.
    """
    stated = headers.get("retry-after")
    for seconds in (_of_header(stated, now), _of_words(message)):
        if seconds is not None:
            return min(max(1, math.ceil(seconds)), _LONGEST_SECONDS)
    return None


def _of_header(value: str | None, now: datetime | None) -> float | None:
    if value is None or len(value) > 64:
        return None
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return (aware - now).total_seconds() if now is not None else None


def _of_words(message: str | None) -> float | None:
    found = _IN_WORDS.search(message) if message is not None else None
    if found is None:
        return None
    unit = found[2].lower()
    return float(found[1]) * _SECONDS[unit if unit in _SECONDS else unit[0]]

"""Allowances, as the headers of an answer tell of them. What cannot be read is passed over."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from floway.providers.contract import QuotaWindow
from floway.wire.headers import Headers

_USED = re.compile(r"x-codex-(?:([a-z0-9_-]{1,48})-)?(primary|secondary)-used-percent", re.IGNORECASE)
_MAIN_LIMIT = "codex"
_CREDITS = "x-codex-credits-"
_LARGEST = 10.0**12
_FARTHEST = timedelta(days=400)
_LONGEST_NAME = 64


def windows(headers: Headers, now: datetime) -> tuple[QuotaWindow, ...]:
    """Every allowance told of: the account's windows, those of further limits under their own names, and credits.

    Credits have no percentage upstream; they read 0 while there are some and 100 when there are none.
    """
    return (*_percentages(headers, now), *_credits(headers))


def _percentages(headers: Headers, now: datetime) -> Iterator[QuotaWindow]:
    seen: set[str] = set()
    for name, value in headers:
        matched = _USED.fullmatch(name)
        used = number(value)
        if matched is None or used is None or name.lower() in seen:
            continue
        seen.add(name.lower())
        stem = name.lower().removesuffix("-used-percent")
        minutes = number(headers.get(f"{stem}-window-minutes"))
        yield QuotaWindow(
            limit=_limit(headers, matched[1]),
            window=matched[2].lower(),
            used_percent=used,
            minutes=int(minutes) if minutes else None,
            resets_at=_resets_at(headers, stem, now),
        )


def _limit(headers: Headers, slug: str | None) -> str:
    if slug is None:
        return _MAIN_LIMIT
    name = headers.get(f"x-codex-{slug}-limit-name") or slug
    return name[:_LONGEST_NAME] if name.isascii() and name.isprintable() else slug.lower()


def _resets_at(headers: Headers, stem: str, now: datetime) -> datetime | None:
    at = moment(number(headers.get(f"{stem}-reset-at")), now)
    after = number(headers.get(f"{stem}-reset-after-seconds"))
    return at or (now + timedelta(seconds=after) if after is not None and after <= _FARTHEST.total_seconds() else None)


def _credits(headers: Headers) -> Iterator[QuotaWindow]:
    has = (headers.get(f"{_CREDITS}has-credits") or "").lower()
    unlimited = (headers.get(f"{_CREDITS}unlimited") or "").lower() == "true"
    if has in {"true", "false"}:
        spent = has == "false" and not unlimited
        yield QuotaWindow("credits", "balance", 100.0 if spent else 0.0, None, None)


def number(value: object) -> float | None:
    """A finite number from 0 to a million million, written or real; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or (isinstance(value, str) and len(value) > 32):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) and 0 <= parsed <= _LARGEST else None


def moment(unix_seconds: float | None, now: datetime) -> datetime | None:
    """A moment within a year or so of `now`, or None: what lies farther off is no reset."""
    if unix_seconds is None or abs(unix_seconds - now.timestamp()) > _FARTHEST.total_seconds():
        return None
    return datetime.fromtimestamp(int(unix_seconds), UTC)

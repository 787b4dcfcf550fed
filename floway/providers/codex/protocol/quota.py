"""Allowances, as the headers of an answer or the usage endpoint tell of them. What cannot be read is passed over.

The headers were captured; the shape of the usage endpoint's answer is that of the official client's public source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from floway.providers.contract import QuotaWindow
from floway.wire.headers import Headers
from floway.wire.json import JSON, InvalidJSON, JSONObject, loads

_USED = re.compile(r"x-codex-(?:([a-z0-9_-]{1,48})-)?(primary|secondary)-used-percent")
_PERCENT = "-used-percent"
_MAIN_LIMIT = "codex"
_CREDITS = "x-codex-credits-"
_LARGEST = 10.0**12
_FARTHEST_SECONDS = timedelta(days=400).total_seconds()
_LONGEST_NAME = 64
_LONGEST_NUMBER = 32
_REVIEW_LIMIT = "code_review"


def windows(headers: Headers, now: datetime) -> tuple[QuotaWindow, ...]:
    """Every allowance told of: the account's windows, those of further limits under their own names, and credits.

    Credits have no percentage upstream; they read 0 while there are some and 100 when there are none.
    """
    return (*_percentages(headers, now), *_credits(headers))


def _percentages(headers: Headers, now: datetime) -> Iterator[QuotaWindow]:
    for name in reversed([*headers.names]):
        matched = _USED.fullmatch(name) if name.endswith(_PERCENT) else None
        if matched is None or (used := number(headers.get(name))) is None:
            continue
        stem = name.removesuffix(_PERCENT)
        minutes = number(headers.get(f"{stem}-window-minutes"))
        yield QuotaWindow(
            limit=_limit(headers, matched[1]),
            window=matched[2],
            used_percent=used,
            minutes=int(minutes) if minutes else None,
            resets_at=_resets_at(headers, stem, now),
        )


def _limit(headers: Headers, slug: str | None) -> str:
    if slug is None:
        return _MAIN_LIMIT
    return _name(headers.get(f"x-codex-{slug}-limit-name")) or slug


def _name(stated: JSON) -> str | None:
    return stated[:_LONGEST_NAME] if isinstance(stated, str) and stated.isascii() and stated.isprintable() and stated else None


def _resets_at(headers: Headers, stem: str, now: datetime) -> datetime | None:
    at = moment(number(headers.get(f"{stem}-reset-at")), now)
    return at or _after(number(headers.get(f"{stem}-reset-after-seconds")), now)


def _after(seconds: float | None, now: datetime) -> datetime | None:
    return now + timedelta(seconds=seconds) if seconds is not None and seconds <= _FARTHEST_SECONDS else None


def _credits(headers: Headers) -> Iterator[QuotaWindow]:
    has = (headers.get(f"{_CREDITS}has-credits") or "").lower()
    unlimited = (headers.get(f"{_CREDITS}unlimited") or "").lower() == "true"
    if has in {"true", "false"}:
        yield _balance(has == "true" or unlimited)


def _balance(any_left: bool) -> QuotaWindow:
    return QuotaWindow("credits", "balance", 0.0 if any_left else 100.0, None, None)


def usage(body: bytes, now: datetime) -> tuple[QuotaWindow, ...] | None:
    """Every allowance in an answer of the usage endpoint, named as `windows` names them; None where it is no such answer."""
    try:
        answer = loads(body)
    except InvalidJSON:
        return None
    if not isinstance(answer, dict) or "rate_limit" not in answer:
        return None
    further = answer.get("additional_rate_limits")
    limits = [(_MAIN_LIMIT, answer["rate_limit"]), (_REVIEW_LIMIT, answer.get("code_review_rate_limit"))]
    for entry in further if isinstance(further, list) else ():
        name = _name(_object(entry).get("limit_name")) or _name(_object(entry).get("metered_feature"))
        limits += [(name, _object(entry).get("rate_limit"))] if name else []
    found = {(window.limit, window.window): window for name, limit in limits for window in _of_limit(name, limit, now)}
    credit = _object(answer.get("credits"))
    known = isinstance(credit.get("has_credits"), bool)
    balance = (_balance(credit["has_credits"] or credit.get("unlimited") is True),) if known else ()
    return (*found.values(), *balance)


def _of_limit(name: str, limit: JSON, now: datetime) -> Iterator[QuotaWindow]:
    for window in ("primary", "secondary"):
        told = _object(_object(limit).get(f"{window}_window"))
        used, seconds = number(told.get("used_percent")), number(told.get("limit_window_seconds"))
        if used is not None:
            resets_at = moment(number(told.get("reset_at")), now) or _after(number(told.get("reset_after_seconds")), now)
            yield QuotaWindow(name, window, used, int(seconds / 60) if seconds else None, resets_at)


def _object(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}


def number(value: object) -> float | None:
    """A finite number from 0 to a million million, written or real; None for anything else."""
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER:
            return None
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if 0 <= parsed <= _LARGEST else None


def moment(unix_seconds: float | None, now: datetime) -> datetime | None:
    """A moment within a year or so of `now`, or None: what lies farther off is no reset."""
    if unix_seconds is None or abs(unix_seconds - now.timestamp()) > _FARTHEST_SECONDS:
        return None
    return datetime.fromtimestamp(int(unix_seconds), UTC)

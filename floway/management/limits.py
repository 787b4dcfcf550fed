"""How limits and lengths of time are written on a command line."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from accounts.models import KeyBudget

_LENGTH = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def budget(kind: str) -> Callable[[str], KeyBudget]:
    """A reader of `AMOUNT/WINDOW`, such as `60/minute` or `2000000/day`."""

    def read(text: str) -> KeyBudget:
        amount, _, window = text.partition("/")
        digits = amount.replace("_", "")
        if not (digits.isascii() and digits.isdecimal() and 0 < int(digits) < 2**63) or window not in KeyBudget.Window.values:
            raise ArgumentTypeError(f"{text!r} is not AMOUNT/WINDOW with a window of {', '.join(KeyBudget.Window.values)}")
        return KeyBudget(kind=kind, amount=int(digits), window=window)

    return read


def length(text: str) -> timedelta:
    """`90s`, `30m`, `24h` or `7d`."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not a length of time such as 30m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str) -> datetime:
    """An ISO date or date and time; UTC where it doesn't say."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2027-01-31 or 2027-01-31T12:00") from error
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)

"""What a client is seen to do: checks by name, run in order, their outcome told as one line of JSON."""

from __future__ import annotations

import inspect
import json
import os
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

URL = os.environ["FLOWAY_URL"] + "/v1"
KEY = os.environ["FLOWAY_KEY"]
MODEL = "gpt-5.5"
CALL_ADD = 'call add with {"a": 2, "b": 3}'

_checks: dict[str, Callable[[], Any]] = {}


def sees(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a check; `name` is a column of the compatibility table."""

    def register(check: Callable[[], Any]) -> Callable[[], Any]:
        _checks[name] = check
        return check

    return register


def tell(package: str) -> None:
    """Run every check of this program and print what came of it."""
    did, failed = [], {}
    for name, check in _checks.items():
        try:
            outcome = check()
            if inspect.isawaitable(outcome):
                raise TypeError(f"{name} was not awaited")
        except Exception:  # noqa: BLE001 - told to who started us
            failed[name] = traceback.format_exc()
        else:
            did.append(name)
    print(json.dumps({"version": version(package), "did": did, "failed": failed}))

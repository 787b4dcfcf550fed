"""Waiting for what another thread or process does: until it shows, and not without end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

_LOOKED_AGAIN_AFTER_SECONDS = 0.02
_LONGEST_SECONDS = 30.0


def until(found: Callable[[], Any]) -> Any:
    """Ask until the answer is true; that answer.

    Half a minute is for the slowest machine: a test that meets it fails.
    """
    give_up_at = time.monotonic() + _LONGEST_SECONDS
    while not (value := found()):
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(_LOOKED_AGAIN_AFTER_SECONDS)
    return value


def background_threads() -> list[threading.Thread]:
    """Those of this process that make responses in the background."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("background-")]


def background_ended() -> None:
    """Wait until nothing is made in the background any more."""
    for thread in background_threads():
        thread.join(_LONGEST_SECONDS)
        assert not thread.is_alive(), "a background response did not end"

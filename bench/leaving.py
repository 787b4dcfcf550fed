"""How soon the upstream's connection ends after the caller's did, while the upstream is silent."""

from __future__ import annotations

import json
import socket
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.load import EVENT, Target

_PATIENCE_SECONDS = 8.0
_SETTLED_SECONDS = 0.02
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Leaving:
    """Milliseconds from a caller's close to the upstream's end of connection. `unnoticed`: after eight seconds still open."""

    tries: int
    p50: float
    worst: float
    unnoticed: int


def leave(url: str, key: str, upstream: str, *, mode: str, tries: int) -> Leaving:
    """Begin a stream and leave it, `tries` times, one after the other.

    :param mode: `silent`, an upstream that stops after its first event, or `mute`, one that never begins.
    """
    took = [took for _ in range(tries) if (took := _leave_once(url, key, upstream, mode)) is not None]
    worst = max(took, default=0.0)
    return Leaving(tries, round(statistics.median(took or [0.0]), 1), round(worst, 1), tries - len(took))


def _leave_once(url: str, key: str, upstream: str, mode: str) -> float | None:
    before = _silences(upstream)
    parts = urlsplit(url)
    target = Target(parts.hostname or "", parts.port or 80, parts.path, key, f"bench-{mode}", 0)
    with socket.create_connection((target.host, target.port), timeout=_PATIENCE_SECONDS) as caller:
        caller.sendall(target.request(f"leaving-{mode}-{time.monotonic_ns()}"))
        if mode == "silent":
            _first_event(caller)
        if _wait_for(upstream, lambda now: now.begun > before.begun) is None:
            raise ConnectionError("the request did not reach the upstream")
        time.sleep(_SETTLED_SECONDS)
        left = time.monotonic()
    ended = _wait_for(upstream, lambda now: len(now.ended) > len(before.ended))
    return None if ended is None else (ended.ended[-1] - left) * 1000


def _first_event(caller: socket.socket) -> None:
    seen = b""
    while EVENT not in seen:
        data = caller.recv(65536)
        if not data:
            raise ConnectionError(f"the stream ended before its first event: {seen[:300]!r}")
        seen += data


@dataclass(frozen=True, slots=True)
class _Silences:
    begun: int
    ended: list[float]


def _wait_for(upstream: str, reached: Callable[[_Silences], bool]) -> _Silences | None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        if reached(now := _silences(upstream)):
            return now
        time.sleep(_POLL_SECONDS)
    return None


def _silences(upstream: str) -> _Silences:
    with urllib.request.urlopen(f"{upstream}/bench/silences", timeout=_PATIENCE_SECONDS) as answer:
        return _Silences(**json.load(answer))

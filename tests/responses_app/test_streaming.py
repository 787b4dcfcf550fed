"""The relay loop against a scripted upstream and a scripted clock: silence, deadlines, cuts, departures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from floway.providers.contract import UpstreamCut
from floway.wire.fold import Echo, Relay
from floway.wire.headers import Headers
from floway.wire.sse import encode
from responses_app.holding import HeldBack
from responses_app.models import Exchange
from responses_app.streaming import KEEP_ALIVE, Limits, Stream
from tests.fakes.clock import ScriptedClock

LIMITS = Limits(keep_alive=15, idle=100)
CREATED = encode("response.created", {"type": "response.created", "sequence_number": 0, "response": {"id": "up", "output": []}})
COMPLETED = encode(
    "response.completed", {"type": "response.completed", "sequence_number": 1, "response": {"id": "up", "output": []}}
)
EndedBy = Exchange.EndedBy


class ScriptedUpstream:
    """Gives what the script says: bytes at once, a number of silent seconds, or an exception."""

    status = 200
    headers = Headers()

    def __init__(self, clock: ScriptedClock, *script: bytes | float | Exception) -> None:
        self.clock = clock
        self.script = list(script)

    def read(self, timeout: float) -> bytes:
        step = self.script[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, bytes):
            return self.script.pop(0)  # type: ignore[return-value] # it is bytes
        waited = min(timeout, step)
        self.clock.time += waited
        self.script[0] = step - waited
        if self.script[0] <= 0:
            self.script.pop(0)
        if waited == timeout:
            raise TimeoutError
        return self.read(timeout - waited)

    def read_all(self, limit: int, timeout: float) -> bytes:
        return b""

    def close(self, *, heard_out: bool = False) -> None:
        """Nothing is open."""


def run(*script: bytes | float | Exception, gone: Callable[[], bool] = lambda: False) -> tuple[Stream, list[bytes]]:
    clock = ScriptedClock()
    echo = Echo(response_id="resp_1", created_at=0, request={"model": "m"}, mint=lambda prefix: f"{prefix}_x", now=lambda: 9)
    held_back = HeldBack(ScriptedUpstream(clock, *script), Relay(echo))
    stream = Stream(held_back, limits=LIMITS, clock=clock, deadline=1000, gone=gone)
    return stream, list(stream.pieces())


def test_silence_gives_a_comment_every_fifteen_seconds() -> None:
    stream, pieces = run(CREATED, 31.0, COMPLETED)
    assert pieces[1:] == [KEEP_ALIVE, KEEP_ALIVE]
    assert stream.relay.terminal is not None
    assert stream.ending.by is EndedBy.UPSTREAM


def test_an_upstream_silent_for_too_long_is_given_up() -> None:
    stream, pieces = run(CREATED, 5000.0)
    assert stream.ending.by is EndedBy.IDLE
    assert pieces.count(KEEP_ALIVE) == 6, "every 15 of the 100 seconds"
    assert stream.relay.terminal is None


def test_a_stream_ends_at_its_deadline_however_lively() -> None:
    stream, _ = run(*([CREATED, 90.0] * 20))
    assert stream.ending.by is EndedBy.DEADLINE


@pytest.mark.parametrize("end", [b"", UpstreamCut("reset")])
def test_an_end_without_a_terminal_event_is_a_cut(end: bytes | Exception) -> None:
    stream, _ = run(CREATED, end)
    assert stream.ending.by is EndedBy.UPSTREAM_CUT
    assert stream.relay.terminal is None


def test_a_cut_that_the_callers_departure_caused_is_the_callers() -> None:
    stream, _ = run(CREATED, UpstreamCut("shut"), gone=lambda: True)
    assert stream.ending.by is EndedBy.CALLER


def test_nothing_is_read_after_the_terminal_event() -> None:
    stream, _ = run(CREATED + COMPLETED, AssertionError("read on"))
    assert stream.relay.terminal is not None

"""The events of a background response: written down as they come, numbered, sealed in batches, and read again by anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

from django.conf import settings
from django.db import connection

from floway.sealing import seal_content, unseal_content
from floway.wire import events
from floway.wire.json import JSONObject
from floway.wire.numbering import renumbered
from floway.wire.sse import Frame, FrameDecoder, encode, encode_data
from responses_app.clock import Clock
from responses_app.models import BackgroundResponse, EventBatch
from responses_app.streaming import KEEP_ALIVE

PURPOSE = "events"
_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_READ_AT_ONCE = 32
_FRAME_END = b"\n\n"


def owner_of(response_pk: int, first: int) -> str:
    """Whose an envelope is."""
    return f"{response_pk}:{first}"


class Journal:
    """What is written down of one response. Frames come in on one thread and are stored on another.

    :ivar response: the object of the terminal event, once it has come.
    """

    def __init__(self, row: BackgroundResponse) -> None:
        self.response: JSONObject | None = None
        self._row = row
        self._decoder = FrameDecoder()
        self._lock = threading.Lock()
        self._frames: list[bytes] = []
        self._first = 0

    @property
    def has_news(self) -> bool:
        """Is there anything to store?"""
        return bool(self._frames)

    def open(self, queued: JSONObject) -> None:
        """The events that tell of a response that has not begun."""
        for kind in (events.CREATED, events.QUEUED):
            self._add(encode(kind, {"type": kind, "response": queued, "sequence_number": self._next}))

    def take(self, piece: bytes) -> None:
        """Whole frames of the turn's stream. That the response was created has been told."""
        for frame in self._decoder.feed(piece):
            if frame.event is not None and frame.data is not None and frame.event != events.CREATED:
                self._take(frame, frame.event, frame.data)

    def _take(self, frame: Frame, event: str, data: bytes) -> None:
        if event in events.TERMINAL:
            self.response = events.payload_of(frame)["response"]
        self._add(encode_data(event, renumbered(data, self._next)))

    def close(self, failed: JSONObject) -> None:
        """The end of one that has no terminal event of its own."""
        self.response = failed
        self._add(_failed(failed, self._next))

    @property
    def _next(self) -> int:
        return self._first + len(self._frames)

    def _add(self, frame: bytes) -> None:
        with self._lock:
            self._frames.append(frame)

    def store(self) -> int:
        """Write down, in the open transaction, what has come; returns how many frames `forget` may be told once it is kept."""
        with self._lock:
            frames, first = list(self._frames), self._first
        if frames:
            sealed = seal_content(b"".join(frames), purpose=PURPOSE, owner=owner_of(self._row.pk, first))
            EventBatch.objects.create(response=self._row, first=first, last=first + len(frames) - 1, sealed=sealed)
        return len(frames)

    def forget(self, count: int) -> None:
        """Drop the oldest frames: they are stored."""
        with self._lock:
            del self._frames[:count]
            self._first += count


def _failed(response: JSONObject, number: int) -> bytes:
    return encode(events.FAILED, {"type": events.FAILED, "response": response, "sequence_number": number})


class Follower:
    """Reads a response's events, from whichever process makes it, until its end.

    :param ending: the object of a response that ended without a word: cancelled, or lost.
    """

    def __init__(self, row_pk: int, after: int, ending: Callable[[], JSONObject], clock: Clock) -> None:
        self._pk = row_pk
        self._next = after + 1
        self._ending = ending
        self._clock = clock
        self._told_end = False

    def pieces(self, gone: Callable[[], bool]) -> Generator[bytes]:
        """Frames as they become known; comments while there are none."""
        pause, written_at = _SHORTEST_PAUSE, self._clock.monotonic()
        while not gone():
            is_over, found = self._look()
            if found:
                pause, written_at = _SHORTEST_PAUSE, self._clock.monotonic()
                yield found
            elif is_over:
                if not self._told_end and not self._is_ended():
                    yield _failed(self._ending(), self._next)
                return
            else:
                if self._clock.monotonic() - written_at >= settings.FLOWAY_KEEPALIVE_SECONDS:
                    written_at = self._clock.monotonic()
                    yield KEEP_ALIVE
                self._clock.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _look(self) -> tuple[bool, bytes]:
        """Whether the response is over, and the frames that have come. In this order: an end is written after its events."""
        try:
            is_over = not BackgroundResponse.objects.running().filter(pk=self._pk).exists()
            batches = EventBatch.objects.filter(response_id=self._pk, last__gte=self._next).order_by("first")
            rows = list(batches.values_list("first", "last", "sealed")[:_READ_AT_ONCE])
        finally:
            connection.close()
        return is_over, b"".join(self._unsealed(*row) for row in rows)

    def _unsealed(self, first: int, last: int, sealed: bytes | memoryview) -> bytes:
        plain = unseal_content(sealed, purpose=PURPOSE, owner=owner_of(self._pk, first))
        frames = [frame + _FRAME_END for frame in plain.split(_FRAME_END)[:-1]][max(0, self._next - first) :]
        self._next = last + 1
        self._told_end = _tells_an_end(plain)
        return b"".join(frames)

    def _is_ended(self) -> bool:
        """Has the end been told before where this reader began?"""
        try:
            last = EventBatch.objects.filter(response_id=self._pk).order_by("-first").values_list("first", "sealed").first()
        finally:
            connection.close()
        return last is not None and _tells_an_end(unseal_content(last[1], purpose=PURPOSE, owner=owner_of(self._pk, last[0])))


def _tells_an_end(frames: bytes) -> bool:
    return any(b"event: %b\n" % kind.encode() in frames for kind in events.TERMINAL)

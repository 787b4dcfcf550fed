"""Who takes nothing and what cannot be written cost themselves, and nobody else."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.socket
import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper

from floway import bounded, worker
from floway.logs import LineHandler


def test_a_caller_who_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "STALL_SECONDS", 0.05)
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs, pytest.raises(StopIteration):
        bounded.say(ours, b"x" * 10_000_000)


def test_a_caller_who_reads_late_gets_all_of_it() -> None:
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs:
        writing = gevent.spawn(bounded.say, ours, b"x" * 3_000_000)
        came = 0
        while came < 3_000_000:
            came += len(theirs.recv(65536))
        writing.get(timeout=20)


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[gevent.socket.socket]:
    """A connection that takes nothing more."""
    monkeypatch.setattr(bounded, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(worker, "STALL_SECONDS", 0.05)
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs:
        with suppress(BlockingIOError):
            while True:
                ours._sock.send(b"x" * 4096)
        yield ours


def test_a_caller_who_takes_nothing_is_not_waited_for_to_be_told_to_go_on(stalled: gevent.socket.socket) -> None:
    serving: Any = SimpleNamespace(cfg=Config(), log=logging.getLogger())
    request = SimpleNamespace(_expected_100_continue=True, method="GET", path="/")
    with pytest.raises(StopIteration):
        worker.Worker.handle_request(serving, None, request, stalled, None)


def test_a_caller_who_takes_nothing_of_a_file_is_given_up(stalled: gevent.socket.socket) -> None:
    request = SimpleNamespace(version=(1, 1), method="GET", should_close=lambda: False)
    answer = worker.Answer(request, stalled, Config())
    with Path(__file__).open("rb") as file:
        answer.start_response("200 OK", [("content-length", "9")])
        with pytest.raises(StopIteration):
            answer.write_file(FileWrapper(file))


class FullDisk:
    """Takes nothing until there is room."""

    def __init__(self) -> None:
        self.full, self.lines = True, ""

    def write(self, text: str) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left")
        self.lines += text

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("waits", [True, False])
def test_a_line_that_cannot_be_written_is_lost_alone(waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler, disk = LineHandler(), FullDisk()
    stream: Any = disk
    handler.setStream(stream)
    handler.waits = waits

    def say(text: str) -> None:
        handler.emit(logging.makeLogRecord({"levelno": logging.WARNING, "msg": text}))

    say("lost")
    disk.full = False
    say("written")
    assert disk.lines == "written\n"

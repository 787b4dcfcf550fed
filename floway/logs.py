"""Log records as one line each, JSON or console, with the request they belong to; control characters are escaped."""

from __future__ import annotations

import contextvars
import json
import logging
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_MOST_LINES = 500
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")


class RequestIdFilter(logging.Filter):
    """Puts the current request's id on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always passes."""
        record.request_id = request_id.get()
        return True


def _escaped(text: str) -> str:
    """Text whose control characters cannot move a terminal or forge a line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


class LineHandler(logging.StreamHandler[Any]):
    """Writes each line at once; in a process that said `batched()`, lines wait for `flush`.

    Under load a line costs less to make than to write. Warnings and worse never wait, nor does what came before them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = False
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        if not self.waits:
            super().emit(record)
            return
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - what logging does with whatever a record cannot say
            self.handleError(record)
        if record.levelno >= logging.WARNING or len(self._lines) >= _MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what waits. A full disk costs the lines and nothing else, as it does Python's own handlers."""
        lines, self._lines = self._lines, []
        try:
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        except (OSError, ValueError):
            if logging.raiseExceptions:
                with suppress(OSError, ValueError):
                    traceback.print_exc()


def batched() -> list[LineHandler]:
    """Let lines wait from now on; returns the handlers that somebody must `flush`.

    For a process whose threads are greenlets: none is interrupted while it adds a line, so there is nothing to lock.
    """
    _find_out_no_more()
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)]
    for handler in handlers:
        handler.waits, handler.lock = True, None
    return handlers


def _find_out_no_more() -> None:
    """Records learn what our lines say, and not where they were made. Python's logging HOWTO has these switches."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


@lru_cache(maxsize=2)
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(record: logging.LogRecord) -> str:
    """When it was made, in UTC, to the millisecond. Whoever makes many lines makes many in a second."""
    return f"{_second(int(record.created))}.{int(record.msecs):03}"


class ConsoleFormatter(logging.Formatter):
    """`time LEVEL logger [request] message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, control characters escaped; a traceback follows on lines of its own."""
        line = f"{_moment(record)[11:]} {record.levelname} {record.name} [{record.__dict__.get('request_id', '-')}] "
        line += record.getMessage().replace("\n", "\\n")
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return _escaped(line)


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        entry = {
            "time": f"{_moment(record)}+00:00",
            "level": record.levelname,
            "logger": record.name,
            "request_id": record.__dict__.get("request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True)

"""A connection to PostgreSQL that sends statements together, and waits as gevent does, by watchers that it keeps.

psycopg finds `select` patched and polls with gevent's `poll`, which makes its watchers anew for every answer of the server.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import gevent
import psycopg
from gevent import monkey
from psycopg.pq import PipelineStatus, TransactionStatus

from floway.postgresql import statements
from floway.postgresql.statements import Statement, Values

_T = TypeVar("_T")
_INTERVAL_SECONDS = 0.1  # psycopg's


class Connection(psycopg.Connection[Any]):
    """psycopg's. Where gevent has patched nothing, as in a command, it waits as psycopg does."""

    _hub: Any = None
    _watchers: dict[int, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: list[Statement] = []
        self._values: Values | None = None

    def later(self, text: str, params: Sequence[Any], send_all: Callable[[], None]) -> Statement:
        """Have a statement sent with the next that is, before anything else that this connection is asked. See Statement."""
        if self._values is None:
            self._values = Values(self)  # not sooner: psycopg says how values go once it has made the connection
        if not self.autocommit and not self._waiting and self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._waiting.append(Statement(self._values, "BEGIN", (), send_all))  # as psycopg does before its own
        statement = Statement(self._values, text, params, send_all)
        self._waiting.append(statement)
        return statement

    def send_all(self) -> None:
        """Send what waits.

        :raises psycopg.Error: one failed, and none behind it was executed.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        try:
            self.wait(statements.exchange(self, waiting))
        finally:
            if self.pgconn.pipeline_status != PipelineStatus.OFF:
                self.pgconn.finish()

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting = []

    def wait(self, gen: Generator[Any, Any, _T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> _T:
        """Run a generator of psycopg's to its end. Whoever is torn away from it leaves a connection that is closed.

        :raises psycopg.Error: what the generator raises; or another greenlet has closed the connection.
        """
        if self._waiting:
            self._waiting[0].send_all()  # as whoever asked would have its errors told
        if timeout is not None or not monkey.is_module_patched("select"):
            return super().wait(gen, interval, timeout)
        try:
            wanted = next(gen)
            while True:
                self._until(wanted)
                # All of what is wanted: libpq does not block where there is nothing to be read or no room to write.
                wanted = gen.send(wanted)
        except StopIteration as end:
            result: _T = end.value
            return result
        except Exception:
            raise
        except BaseException:
            self.pgconn.finish()
            raise

    def _until(self, wanted: int) -> None:
        """Wait until the socket can be read (1), written (2), or either (3): psycopg's numbers, and gevent's."""
        hub = gevent.get_hub()
        if self._hub is not hub:
            self._hub, self._watchers = hub, {}
        watcher = self._watchers.get(wanted)
        if watcher is None:
            watcher = self._watchers[wanted] = hub.loop.io(self.pgconn.socket, int(wanted))
        hub.wait(watcher)

    def close(self) -> None:
        """psycopg's. A greenlet that waits for an answer gets an error: the socket would never wake it."""
        if self._hub is not None:
            for watcher in self._watchers.values():
                self._hub.cancel_wait(
                    watcher, psycopg.OperationalError("the connection was closed meanwhile"), close_watcher=True
                )
            self._hub = None
        super().close()

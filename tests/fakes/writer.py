"""A second writer, for tests of who waits for whom on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.db import connection, transaction


def ask(statement: str, *params: Any) -> Any:
    """The one value that a statement gives."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()[0]


class Writer(threading.Thread):
    """Does its work on a connection of its own, in a transaction unless that makes its own."""

    def __init__(self, work: Callable[[], Any], *, atomic: bool = True) -> None:
        super().__init__(daemon=True)
        self._atomic = atomic
        self._work, self._known = work, threading.Event()
        self.failure: Exception | None = None
        self._pid = 0

    def run(self) -> None:
        try:
            self._pid = ask("SELECT pg_backend_pid()")
            self._known.set()
            with transaction.atomic() if self._atomic else nullcontext():
                self._work()
        except Exception as error:  # noqa: BLE001 # told by the test
            self.failure = error
        finally:
            connection.close()

    def wait_until_it_waits(self, *, on_me: bool = False) -> None:
        """For another's lock. :param on_me: for one of the calling thread's connection."""
        assert self._known.wait(10)
        blocked = "pg_backend_pid() = ANY(pg_blocking_pids(%s))" if on_me else "cardinality(pg_blocking_pids(%s)) > 0"
        while not ask(f"SELECT {blocked}", self._pid):
            assert self.is_alive(), self.failure

    def finish(self) -> None:
        """Wait for its end. :raises AssertionError: it did not end well."""
        self.join(10)
        assert (self.is_alive(), self.failure) == (False, None)


class Holder(Writer):
    """Does its work, and keeps what that has locked until it is told to let go."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._began, self._may_end = threading.Event(), threading.Event()

        def hold() -> None:
            work()
            self._began.set()
            assert self._may_end.wait(10)

        super().__init__(hold)

    def hold(self) -> None:
        """Returns once it has locked."""
        self.start()
        assert self._began.wait(10), self.failure

    def let_go(self) -> None:
        """Returns once it has ended."""
        self._may_end.set()
        self.finish()

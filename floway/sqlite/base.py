"""SQLite whose writers queue instead of failing.

Django's backend as it is, with one change that matters: a write transaction first takes a lock of this process, then asks
SQLite for its own with BEGIN IMMEDIATE, again and again until `write_timeout`. Under cooperative workers a greenlet that yields
between BEGIN and COMMIT would otherwise leave a second one blocking the whole process inside SQLite, the first among the
blocked. So the wait for other greenlets is on a lock that yields, another process's lock stalls this one for 20 ms at most (it
is that of many turns), and what is waited beyond that is slept outside of SQLite.

Nothing inside a write transaction may yield: no network, no logging to a pipe, no sleep.

A connection that Django closes is kept for the next greenlet. Opening one costs more than a whole turn's statements, and
closing the last one folds the write-ahead log back, during which another process's opening fails as locked.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

from django.db import OperationalError
from django.db.backends.sqlite3 import base
from django.utils.dateparse import parse_datetime
from gevent import monkey

from floway.sqlite.checkpoints import LEFT_TO_SQLITE_PAGES, Checkpoints
from floway.taking import TakesConnections

_T = TypeVar("_T")
_write_lock = threading.Lock()
_MOST_IDLE = 32
_idle: dict[tuple[int, Any], list[Any]] = defaultdict(list)
"""Connections that nobody uses, by process and database file; the last one put back is the first one taken."""
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED}
_GLANCE_SECONDS = 0.0002
"""Between two tries for what another process has locked, during which this one stands still: it is held for some of these."""
_stand_still = monkey.get_original("time", "sleep")
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.02


# A key's moments and a login's are the same in every turn.
sqlite3.register_converter("datetime", lru_cache(maxsize=4096)(base.decoder(parse_datetime)))


def _again(error: sqlite3.Error, seconds: float, connection: sqlite3.Connection, execute: Callable[[], _T]) -> _T:
    """What `execute` gives, which has failed, tried again while another process has the lock. SQLite itself would sleep longer.

    :raises sqlite3.Error: `error`, or that of the last try; nothing is tried inside a transaction, or after so many seconds.
    """
    until = time.monotonic() + seconds
    while _is_locked(error) and not connection.in_transaction and time.monotonic() <= until:
        _stand_still(_GLANCE_SECONDS)
        try:
            return execute()
        except sqlite3.Error as another:
            error = another
    raise error


def _is_locked(error: Exception) -> bool:
    """Has another process the lock, for now? :param error: SQLite's, or Django's that was made of it."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    return getattr(cause, "sqlite_errorcode", None) in _LOCKED


class Cursor(base.SQLiteCursorWrapper):
    """Django's, which remembers what it has made of a statement: a turn's are always the same.

    :param patience: seconds that it waits for another process's lock.
    """

    patience = 0.0

    def execute(self, query: str, params: Any = None) -> Any:
        """See Django's."""
        try:
            return super().execute(query, params)
        except sqlite3.Error as error:
            return _again(error, self.patience, self.connection, partial(super().execute, query, params))

    def convert_query(self, query: str, *, param_names: Any = None) -> str:
        """See Django's."""
        return _with_question_marks(query) if param_names is None else super().convert_query(query, param_names=param_names)


@lru_cache(maxsize=512)
def _with_question_marks(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class _Given:
    """What a statement gave, read already."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, cursor: Any) -> None:
        self._rows = cursor.fetchall()
        self.rowcount = cursor.rowcount

    def fetchall(self) -> Any:
        """The rows."""
        return self._rows


class DatabaseWrapper(TakesConnections, base.DatabaseWrapper):
    """See the module."""

    _checkpoints: Checkpoints | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._holds_write_lock = False
        self._patience = float(self.settings_dict["OPTIONS"].get("timeout", 5))
        self.write_timeout = float(self.settings_dict["OPTIONS"].get("write_timeout", 30))

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, without our own option."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop("write_timeout", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A new one, in which SQLite itself waits no more; another process that holds the file is waited for."""
        deadline = time.monotonic() + self.write_timeout
        for pause in _pauses():
            try:
                opened = super().get_new_connection(conn_params)
                opened.execute("PRAGMA busy_timeout=0")
                if self._checkpoints is not None:
                    opened.execute(f"PRAGMA wal_autocheckpoint={LEFT_TO_SQLITE_PAGES}")
                return opened
            except sqlite3.OperationalError as error:
                if not _is_locked(error) or time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
        raise AssertionError("pauses never end")

    def create_cursor(self, name: str | None = None) -> Any:
        """One of ours."""
        cursor = self.connection.cursor(factory=Cursor)
        cursor.patience = self._patience
        return cursor

    def run_unwatched(self, statement: str, params: Sequence[Any] | None) -> Any:
        """See TakesConnections."""
        query = _with_question_marks(statement)
        try:
            return self.connection.execute(query, params or ())
        except sqlite3.Error as error:
            with self.wrap_database_errors:
                return _again(error, self._patience, self.connection, partial(self.connection.execute, query, params or ()))

    def run_later(self, statement: str, params: Sequence[Any]) -> Any:
        """At once, and its rows are read at once: nothing can be committed while a statement has some left."""
        cursor = self.run(statement, params)
        return cursor if cursor.description is None else _Given(cursor)

    # --- taking a connection and giving it back ---

    def _kept(self) -> list[Any]:
        return _idle[os.getpid(), self.settings_dict["NAME"]]

    def connect(self) -> None:
        """Take one that is kept, else open one."""
        try:
            kept = self._kept().pop()
        except IndexError:
            super().connect()
            return
        self.take(kept)

    def close(self) -> None:
        """Keep the connection for the next one to ask, unless it is in the midst of something."""
        if self.connection is None:
            return
        kept = self._kept()
        if self.in_atomic_block or not self.autocommit or len(kept) >= _MOST_IDLE or self.is_in_memory_db():
            super().close()
            return
        self.run_on_commit = []
        kept.append(self.connection)
        self.connection = None

    def close_pool(self) -> None:
        """Close this process's idle connections, as Django's PostgreSQL does: one must not be carried over a fork."""
        kept = self._kept()
        while kept:
            kept.pop().close()

    @classmethod
    def fold_beside_the_traffic(cls, database: str) -> None:
        """No commit of this process folds the log back from its next connection on. Under gevent alone."""
        cls._checkpoints = Checkpoints(database, _write_lock)

    # --- transactions ---

    def _start_transaction_under_autocommit(self) -> None:
        deadline = time.monotonic() + self.write_timeout
        if not _write_lock.acquire(timeout=self.write_timeout):
            raise OperationalError("database is locked: a write transaction of this process did not end in time")
        self._holds_write_lock = True
        try:
            for pause in _pauses():
                try:
                    self.run("BEGIN IMMEDIATE")
                    return
                except OperationalError as error:
                    if not _is_locked(error) or time.monotonic() + pause > deadline:
                        raise
                time.sleep(pause)
        except BaseException:
            self._release_write_lock()
            raise

    def _set_autocommit(self, autocommit: bool) -> None:
        # A transaction of `atomic` is begun under autocommit: there is nothing to set again after it.
        if not autocommit or self.connection.isolation_level is not None:
            super()._set_autocommit(autocommit)  # type: ignore[misc] # the stubs leave it out
        if autocommit:
            self._release_write_lock()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc] # the stubs leave it out
        finally:
            self._release_write_lock()

    def _commit(self) -> None:
        if self.connection is None or self.force_debug_cursor:
            super()._commit()  # type: ignore[misc] # the stubs leave it out
        else:
            try:
                self.connection.commit()
            except sqlite3.Error:
                with self.wrap_database_errors:
                    raise
        self._release_write_lock()
        if self._checkpoints is not None:
            self._checkpoints.committed()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc] # the stubs leave it out
        finally:
            self._release_write_lock()

    def _release_write_lock(self) -> None:
        if self._holds_write_lock:
            self._holds_write_lock = False
            _write_lock.release()

    @contextmanager
    def durable_commits(self) -> Iterator[None]:
        """Commits inside survive a power loss too: WAL with synchronous=NORMAL may lose the last ones."""
        self.cursor().execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self.cursor().execute("PRAGMA synchronous=NORMAL")


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause * (0.5 + random.random())
        pause = min(pause * 2, _LONGEST_PAUSE)

"""PostgreSQL whose pool can be waited for as long as the work at hand may wait, and no longer.

What every turn asks is bound and prepared by the server, which then plans it once for a connection and not once for a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
from django.db import OperationalError
from django.db.backends.postgresql import base, schema
from psycopg import IsolationLevel
from psycopg.errors import FeatureNotSupported, InFailedSqlTransaction, InvalidSqlStatementName

from floway.postgresql.connecting import Connection
from floway.taking import TakesConnections

_STALE = (FeatureNotSupported, InvalidSqlStatementName)


class OutOfDate(OperationalError):
    """What was prepared does not fit any more, for a migration has changed a column's type; or it is gone. Try again."""


class SchemaEditor(schema.DatabaseSchemaEditor):
    """Django's, which waits for a lock for as long as it takes: a migration may have to outlast what is at work on a table."""

    connection: DatabaseWrapper

    def __enter__(self) -> Self:
        super().__enter__()
        if not self.collect_sql:
            self.connection.limit_waiting(0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        super().__exit__(kind, error, traceback)
        if not self.collect_sql:
            self.connection.limit_waiting(self.connection.lock_timeout)


class DatabaseWrapper(TakesConnections, base.DatabaseWrapper):
    """Django's, with an option `lock_timeout`: seconds to wait for a row or a table that another transaction holds.

    :ivar checkout_timeout: seconds to wait for a connection of the pool; None for the pool's own.
    """

    SchemaEditorClass = SchemaEditor
    checkout_timeout: float | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pooled = self.settings_dict["OPTIONS"].get("pool")
        if pooled:
            pooled["connection_class"] = Connection

    @property
    def lock_timeout(self) -> float:
        """Seconds; 0 for as long as it takes."""
        return float(self.settings_dict["OPTIONS"].get("lock_timeout", 0))

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, without our own option."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop("lock_timeout", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection of the pool's.

        :raises psycopg_pool.PoolTimeout: none became free in time.
        """
        pool: Any = self.pool
        self.isolation_level = IsolationLevel.READ_COMMITTED
        if pool is None:
            return Connection.connect(**conn_params)
        pool.open()
        return self._taken(pool)

    def connect(self) -> None:
        """Take one of the pool's, which are all set up alike."""
        pool: Any = self.pool
        if pool is None or pool.closed:
            super().connect()
            return
        self.isolation_level = IsolationLevel.READ_COMMITTED
        self.take(self._taken(pool))

    def _taken(self, pool: Any) -> Any:
        """One that the server has not left; the pool makes others in the place of those that it has."""
        while _is_left(kept := pool.getconn(timeout=self.checkout_timeout)):
            kept.close()
            pool.putconn(kept)
        return kept

    def run_unwatched(self, statement: str, params: Sequence[Any] | None) -> Any:
        """With all that waits. See TakesConnections."""
        asked = self._put(statement, params)
        try:
            self._send_all()
        except OutOfDate:
            if self.in_atomic_block:
                raise
            asked = self._put(statement, params)  # which is not prepared any more, as nothing is where something failed
            self._send_all()
        return asked

    def run_later(self, statement: str, params: Sequence[Any]) -> Any:
        """With the next that is not, or as the transaction ends. See TakesConnections."""
        if not self.in_atomic_block or self.is_watched():
            return self.run(statement, params)
        if self.needs_rollback:
            self.validate_no_broken_transaction()
        return self._put(statement, params)

    def run_waiting(self) -> None:
        """See TakesConnections."""
        self._send_all()

    def _put(self, statement: str, params: Sequence[Any] | None = None) -> Any:
        try:
            return self.connection.later(statement, params or (), self._send_all)
        except psycopg.Error:
            with self.wrap_database_errors:
                raise

    def _send_all(self) -> None:
        if self.connection is None:
            return  # nothing waits
        try:
            self.connection.send_all()
        except _STALE as stale:
            raise OutOfDate(str(stale)) from stale
        except psycopg.Error:
            with self.wrap_database_errors:
                raise

    def _configure_connection(self, connection: Any) -> bool:
        """Django's, for each new connection."""
        super()._configure_connection(connection)  # type: ignore[misc] # the stubs leave it out
        # A statement: PgBouncer, which may stand between, refuses a connection that begins with such an option.
        connection.execute(_limit(self.lock_timeout))
        return True

    def limit_waiting(self, seconds: float) -> None:
        """From now on this connection waits no longer for what another transaction holds. :param seconds: 0 for no limit."""
        with self.cursor() as cursor:
            cursor.execute(_limit(seconds))

    def create_cursor(self, name: str | None = None) -> Any:
        """Django's; a named one ends with the atomic block that opens it: one that outlives it may lock no rows.

        Django looks at psycopg's autocommit, which stays on in our transactions.
        """
        if name and self.in_atomic_block:
            server_side: Any = base.ServerSideCursor  # the stubs leave out its arguments
            return server_side(self.connection, name=name, scrollable=False, withhold=False)
        return super().create_cursor(name)

    # --- transactions ---

    def _start_transaction_under_autocommit(self) -> None:
        """By a statement of ours, as Django does for SQLite: switching psycopg there and back costs as much as one."""
        if self.is_watched():
            self.run("BEGIN")
        else:
            self._put("BEGIN")

    def _commit(self) -> None:
        if self.connection is None or self.is_watched():
            super()._commit()  # type: ignore[misc] # the stubs leave it out
        else:
            asked = self._put("COMMIT")
            self._send_all()
            if not asked.is_commit:
                with self.wrap_database_errors:
                    raise InFailedSqlTransaction("an error was passed over: nothing was committed")

    def _rollback(self) -> None:
        self._forget()
        super()._rollback()  # type: ignore[misc] # the stubs leave it out

    def _savepoint_rollback(self, sid: str) -> None:
        self._forget()  # asked since: the savepoint itself had all sent that waited
        super()._savepoint_rollback(sid)  # type: ignore[misc] # the stubs leave it out

    def _close(self) -> None:
        self._forget()
        super()._close()  # type: ignore[misc] # the stubs leave it out

    def _forget(self) -> None:
        if self.connection is not None:
            self.connection.forget()

    def _set_autocommit(self, autocommit: bool) -> None:
        if self.connection.autocommit is not autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc] # the stubs leave it out


def _limit(seconds: float) -> str:
    return f"SET lock_timeout = {round(seconds * 1000)}"


def _is_left(kept: Any) -> bool:
    """Has the server gone from an idle connection? What it said as it went lies in the socket: nothing is asked of it."""
    try:
        kept.pgconn.consume_input()  # its last words
        kept.pgconn.consume_input()  # and the end behind them
    except psycopg.OperationalError:
        return True
    return False

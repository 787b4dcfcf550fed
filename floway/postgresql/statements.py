"""Statements that go to PostgreSQL together: one round trip for as many as need nothing of each other's answers.

By libpq's pipeline mode; psycopg's own pipelines send each statement as it comes. How often one is asked before the server
prepares it, and how many it keeps, are psycopg's rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import Connection, errors
from psycopg._preparing import Prepare
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer
from psycopg.generators import fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn

Row = tuple[Any, ...]
_FAILED, _GAVE = ExecStatus.FATAL_ERROR, (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class _AnyInteger(Dumper):
    """As the server finds it to be. psycopg tells the smallest type that fits, and a statement is prepared for each mixture."""

    oid = 0

    def dump(self, obj: int) -> bytes:
        """As text."""
        return b"%d" % obj


class Values:
    """How values go to a connection and come from it: as psycopg has them there, but for integers."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.adapters = AdaptersMap(connection.adapters)
        self.adapters.register_dumper(int, _AnyInteger)
        self.transformer: Any = Transformer(self)


@lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[bytes, list[PyFormat]]:
    """With `$1`, `$2`, … where its places are, and how each value goes."""
    formats: list[PyFormat] = []

    def place(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        formats.append(PyFormat.AUTO)
        return f"${len(formats)}"

    return re.sub("%[s%]", place, statement).encode(), formats


class Statement:
    """One, and what it gives: whoever looks at that has it sent first.

    :param params: read now; what cannot be sent is told of now.
    :param send_all: sends all that waits, this one too.
    """

    __slots__ = ("_formats", "_key", "_name", "_params", "_prepare", "_result", "_transformer", "query", "send_all", "types")

    def __init__(self, values: Values, text: str, params: Sequence[Any], send_all: Callable[[], None]) -> None:
        self.query, formats = _numbered(text)
        if len(formats) != len(params):
            raise psycopg.ProgrammingError(f"{len(params)} values for {len(formats)} places")
        transformer = values.transformer
        self._params = transformer.dump_sequence(params, formats)
        self.types, self._formats = transformer.types or (), transformer.formats
        self._transformer, self.send_all = transformer, send_all
        self._result: Any = None

    def fetchall(self) -> list[Row]:
        """The rows that it gives."""
        result = self._sent()
        self._transformer.set_pgresult(result)
        rows: list[Row] = self._transformer.load_rows(0, result.ntuples, tuple)
        self._transformer.set_pgresult(None)  # which would be kept as long as the connection waits for its next
        return rows

    @property
    def rowcount(self) -> int:
        """How many rows it gives or changes."""
        return int(self._sent().command_tuples or 0)

    @property
    def is_commit(self) -> bool:
        """Did it commit? The server answers a COMMIT with ROLLBACK, and tells of no error, where one has come before."""
        return bool(self._sent().command_status == b"COMMIT")

    def _sent(self) -> Any:
        if self._result is None:
            self.send_all()
        if self._result is None:
            raise psycopg.InterfaceError("it was not executed: the transaction ended, or what came before it failed")
        return self._result

    def put(self, pgconn: PGconn, prepared: Any) -> None:
        """Into what is sent next."""
        self._prepare, self._name = prepared.get(self)
        self._key = prepared.maybe_add_to_cache(self, self._prepare, self._name)
        if self._prepare is Prepare.SHOULD:
            pgconn.send_prepare(self._name, self.query, self.types)
        if self._prepare is Prepare.NO:
            pgconn.send_query_params(self.query, self._params, self.types, self._formats)
        else:
            pgconn.send_query_prepared(self._name, self._params, self._formats)

    def take(self, pgconn: PGconn, prepared: Any) -> Generator[Any, Any, Any]:
        """What the server answers; returns the result that tells of an error, or None."""
        results = []
        if self._prepare is Prepare.SHOULD:
            results += yield from fetch_many(pgconn)
        results += yield from fetch_many(pgconn)
        if self._key is not None:
            prepared.validate(self._key, self._prepare, self._name, results[-1:])
        if results and results[-1].status in _GAVE:
            self._result = results[-1]
        return next((result for result in results if result.status == _FAILED), None)


def exchange(connection: Connection[Any], statements: Sequence[Statement]) -> Generator[Any, Any, None]:
    """Send them all, and take what they give; for psycopg's `wait`.

    :raises psycopg.Error: the first that failed; none behind it was executed.
    """
    pgconn, prepared = connection.pgconn, connection._prepared
    if pgconn.transaction_status != TransactionStatus.INERROR:
        # What those before have left. Behind these, it would drop what they prepare, or fail where their commit has not.
        yield from prepared.maintain_gen(connection)
    pgconn.enter_pipeline_mode()
    for statement in statements:
        statement.put(pgconn, prepared)
    pgconn.pipeline_sync()
    yield from send(pgconn)
    failed: Any = None
    for statement in statements:
        error = yield from statement.take(pgconn, prepared)
        failed = failed or error
    if pgconn.status != ConnStatus.BAD:
        end = yield from fetch_many(pgconn)
        if end and end[-1].status == _FAILED:  # outside BEGIN and COMMIT that is where what is deferred fails
            failed = failed or end[-1]
            yield from fetch_many(pgconn)
        pgconn.exit_pipeline_mode()
    elif failed is None:
        raise psycopg.OperationalError("the connection was lost")
    if failed is not None:
        prepared.clear()  # those behind it were not prepared
        raise errors.error_from_result(failed, encoding=pgconn._encoding)

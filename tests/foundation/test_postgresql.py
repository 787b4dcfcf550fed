"""Our PostgreSQL backend goes on where a kept connection, or what it has prepared, is out of date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import psycopg
import pytest
from django.db import DataError, IntegrityError, InternalError, OperationalError, connection, transaction
from gevent import monkey
from psycopg.errors import QueryCanceled
from psycopg.pq import TransactionStatus

from accounts.models import Pool
from floway import sql
from floway.postgresql.connecting import Connection
from tests.fakes.factories import make_key

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite keeps nothing on a server"),
]
READ = "SELECT value FROM changing WHERE id = %s"
CHANGE = "ALTER TABLE changing ALTER COLUMN value TYPE text"


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def prepared() -> Iterator[None]:
    """A table, and a statement over it that the server has prepared."""
    execute("CREATE TABLE changing (id integer, value integer)", "INSERT INTO changing VALUES (1, 7)")
    for _ in range(10):
        sql.fetch(READ, [1])
    yield
    execute("DROP TABLE changing")


def elsewhere(statement: str) -> None:
    """Behind psycopg's back, as another process does it: psycopg forgets what is prepared when it sees an ALTER."""
    connection.connection.pgconn.exec_(statement.encode())


@pytest.mark.parametrize("change", [CHANGE, "DEALLOCATE ALL"])
def test_what_is_prepared_and_does_not_fit_any_more_is_asked_anew(prepared: None, change: str) -> None:
    elsewhere(change)
    assert [str(value) for _ in range(10) for (value,) in sql.fetch(READ, [1])] == ["7"] * 10


def test_inside_a_transaction_it_may_be_tried_again(prepared: None) -> None:
    elsewhere(CHANGE)
    with pytest.raises(OperationalError), transaction.atomic():
        sql.fetch(READ, [1])
    for _ in range(10):
        with transaction.atomic():
            assert str(sql.fetch(READ, [1])[0][0]) == "7"


@pytest.mark.parametrize("change", [CHANGE, "DEALLOCATE ALL"])
def test_whoever_is_told_of_it_by_djangos_cursor_may_try_again_too(prepared: None, change: str) -> None:
    elsewhere(change)
    with pytest.raises(OperationalError), transaction.atomic():
        sql.later(READ, [1])
        Pool.objects.count()


def test_rows_are_locked_while_they_are_read_piece_by_piece() -> None:
    Pool.objects.bulk_create(Pool(provider=f"p{number}") for number in range(5))
    with transaction.atomic():
        assert len(list(Pool.objects.select_for_update().iterator(chunk_size=2))) == 5
    assert len(list(Pool.objects.iterator(chunk_size=2))) == 5


def test_pieces_are_what_django_makes_of_rows() -> None:
    key = make_key().key
    with transaction.atomic():
        assert [row.created_at for row in type(key).objects.iterator()] == [key.created_at]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_migration_waits_for_locks_as_long_as_it_takes_and_nothing_else_does(atomic: bool) -> None:
    def limit() -> str:
        return str(sql.fetch("SHOW lock_timeout", [])[0][0])

    before = limit()
    with connection.schema_editor(atomic=atomic):
        assert limit() == "0"
    assert limit() == before == "5s"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection of its own that waits as under gevent."""
    config: dict[str, Any] = connection.get_connection_params()
    given: dict[str, Any] = {name: config[name] for name in ("dbname", "user", "password", "host", "port") if name in config}
    monkeypatch.setattr(monkey, "is_module_patched", lambda name: True)
    with Connection.connect(**given, autocommit=True) as made:
        yield made


def test_other_greenlets_go_on_while_an_answer_is_waited_for(kept: Connection) -> None:
    waiting = gevent.spawn(kept.execute, "SELECT pg_sleep(0.5)")
    gevent.sleep(0)
    assert kept.info.transaction_status == TransactionStatus.ACTIVE
    kept.cancel()
    with pytest.raises(QueryCanceled):
        waiting.get()
    assert kept.execute("SELECT 1").fetchall() == [(1,)]


def test_what_is_larger_than_a_sockets_buffer_is_sent(kept: Connection) -> None:
    text = "x" * 30_000_000
    assert kept.execute("SELECT length(%s)", [text]).fetchall() == [(len(text),)]


def test_whoever_is_torn_away_from_an_answer_leaves_a_closed_connection(kept: Connection) -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        kept.execute("SELECT pg_sleep(0.5)")
    assert kept.closed


def test_whoever_waits_on_a_connection_that_is_closed_is_told(kept: Connection) -> None:
    waiting = gevent.spawn(kept.execute, "SELECT pg_sleep(0.5)")
    gevent.sleep(0)
    kept.close()
    with pytest.raises(psycopg.OperationalError):
        waiting.get()


# --- statements that are sent together ---


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one with each round trip."""
    seen: list[str] = []
    usual = Connection.wait

    def wait(self: Connection, gen: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(gen.__name__)
        return usual(self, gen, *args, **kwargs)

    monkeypatch.setattr(Connection, "wait", wait)
    return seen


def add(provider: str) -> sql.Asked:
    """A pool, some time."""
    shape = sql.shape(Pool)
    return shape.add_one_later(shape.row(provider=provider))


def test_a_transaction_is_one_round_trip_where_nothing_is_looked_at(waits: list[str]) -> None:
    connection.ensure_connection()
    waits.clear()
    with transaction.atomic():
        added = [add(name) for name in ("one", "two")]
    assert len(waits) == 1
    assert [pool.pk for pool in Pool.objects.order_by("pk")] == [pk for one in added for (pk,) in one.fetchall()]


def test_whoever_looks_has_all_sent_that_waits_and_djangos_cursors_come_behind_it(waits: list[str]) -> None:
    with transaction.atomic():
        changed = sql.later("UPDATE accounts_pool SET cursor = 9", [])
        add("one")
        assert changed.rowcount == 0
        add("two")
        assert Pool.objects.count() == 2
        assert sql.change("UPDATE accounts_pool SET cursor = 9", []) == 2


def test_what_fails_later_is_told_by_the_commit_and_leaves_nothing() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        for name in ("one", "one", "two"):
            last = add(name)
    with pytest.raises(psycopg.InterfaceError):
        last.fetchall()
    assert not Pool.objects.exists()


def test_what_is_deferred_is_told_outside_of_a_transaction_too() -> None:
    execute("CREATE TABLE one (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO one VALUES (1)")
    used = connection.connection
    with pytest.raises(IntegrityError):
        sql.change("INSERT INTO one VALUES (%s)", [1])
    assert sql.fetch("SELECT id FROM one", []) == [(1,)]
    assert connection.connection is used
    execute("DROP TABLE one")


def test_a_commit_tells_of_an_error_that_somebody_passed_over() -> None:
    done: list[bool] = []
    with pytest.raises(InternalError), transaction.atomic():
        transaction.on_commit(lambda: done.append(True))
        add("one")
        with suppress(IntegrityError):
            add("one").fetchall()
    assert not done
    assert not Pool.objects.exists()


def test_a_server_that_goes_in_the_midst_of_them_is_told_of_and_leaves_nothing() -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        add("one")
        sql.later("SELECT pg_terminate_backend(pg_backend_pid())", [])
        add("two")
    assert not Pool.objects.exists()


def test_what_waits_when_a_transaction_is_given_up_is_never_sent(waits: list[str]) -> None:
    connection.ensure_connection()
    waits.clear()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add("one")
        raise ZeroDivisionError
    assert "exchange" not in waits
    with transaction.atomic():
        add("two")
        connection.close()
    assert not Pool.objects.exists()


def test_what_waits_when_a_savepoint_is_given_up_is_never_sent() -> None:
    with transaction.atomic():
        add("one")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            add("one")
            raise ZeroDivisionError
        add("two")
    assert Pool.objects.count() == 2


def test_without_autocommit_it_belongs_to_a_transaction_that_may_be_given_up() -> None:
    add("one")
    transaction.set_autocommit(False)
    try:
        assert sql.change("DELETE FROM accounts_pool", []) == 1
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert Pool.objects.count() == 1


def test_what_was_never_sent_tells_nothing_once_the_connection_is_given_back() -> None:
    with transaction.atomic():
        added = add("one")
        connection.close()
    with pytest.raises(psycopg.InterfaceError):
        added.fetchall()


def test_a_statement_is_prepared_once_whatever_the_size_of_its_numbers() -> None:
    for value in (1, 40_000, 3_000_000_000, None) * 5:
        sql.fetch("SELECT 1 FROM accounts_pool WHERE cursor = %s", [value])
    assert sql.fetch("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["%%WHERE cursor%%"]) == [(1,)]


def test_what_is_prepared_after_an_error_stays_prepared() -> None:
    for _ in range(10):
        sql.fetch("SELECT 1 FROM accounts_pool", [])
    with pytest.raises(DataError):
        sql.fetch("SELECT 1 / 0", [])
    for _ in range(2):
        with transaction.atomic():
            asked = [sql.later("SELECT %s::integer", [number]) for number in range(10)]
        assert [one.fetchall() for one in asked] == [[(number,)] for number in range(10)]


def test_a_value_that_cannot_be_sent_is_told_of_at_once() -> None:
    with transaction.atomic():
        with pytest.raises(DataError):
            add("nul\0")
        add("one")
    assert Pool.objects.count() == 1


def test_together_they_may_be_larger_than_a_sockets_buffer_and_whoever_is_torn_away_leaves_it_closed(kept: Connection) -> None:
    text = "x" * 10_000_000
    asked = [kept.later("SELECT %s::text", [text], kept.send_all) for _ in range(3)]
    assert [one.fetchall() for one in asked] == [[(text,)]] * 3
    kept.later("SELECT pg_sleep(0.5)", [], kept.send_all)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        kept.execute("SELECT 1")
    assert kept.closed

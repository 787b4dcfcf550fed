"""Our PostgreSQL backend goes on where a kept connection, or what it has prepared, is out of date."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import Pool
from floway import sql
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

"""Writers of one SQLite file queue instead of failing."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from django.db import OperationalError, connection, connections, transaction

from accounts.models import ApiKey
from floway import sql
from floway.sqlite import base

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="this is about SQLite's lock"),
]


def test_many_writers_of_one_process_all_get_their_turn() -> None:
    errors: list[BaseException] = []

    def write(n: int) -> None:
        try:
            for turn in range(10):
                with transaction.atomic():
                    ApiKey.objects.create(name=f"{n}.{turn}", provider="codex")
        except BaseException as error:  # noqa: BLE001 - reported below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert ApiKey.objects.count() == 80


def test_another_processs_lock_is_waited_for_outside_of_sqlite() -> None:
    path = connection.settings_dict["NAME"]
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    begun = threading.Event()

    def write() -> None:
        begun.set()
        with transaction.atomic():
            ApiKey.objects.create(name="waited", provider="codex")
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(10)
    assert not ApiKey.objects.exists(), "readers go on meanwhile"
    other.execute("COMMIT")
    writer.join(30)
    other.close()
    assert ApiKey.objects.get().name == "waited"


def test_a_lock_that_is_never_given_up_is_an_error_and_leaves_ours_free(monkeypatch: pytest.MonkeyPatch) -> None:
    path = connection.settings_dict["NAME"]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    connection.ensure_connection()
    monkeypatch.setattr(connections["default"], "write_timeout", 0.01)
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        raise AssertionError("not reached")
    other.execute("ROLLBACK")
    other.close()
    with transaction.atomic():
        ApiKey.objects.create(name="free again", provider="codex")


@pytest.mark.parametrize("looked_on", [True, False])
def test_a_write_outside_of_a_transaction_looks_again_and_again_for_the_lock(
    monkeypatch: pytest.MonkeyPatch, looked_on: bool
) -> None:
    key = ApiKey.objects.create(name="before", provider="codex")
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    glances: list[float] = []

    def glance(seconds: float) -> None:
        glances.append(seconds)
        if len(glances) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(base, "_stand_still", glance)
    monkeypatch.setattr(connections["default"], "_patience", 60.0)
    if looked_on:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_apikey SET name = %s WHERE id = %s", ["after", key.pk])
    else:
        sql.change("UPDATE accounts_apikey SET name = %s WHERE id = %s", ["after", key.pk])
    other.close()
    assert len(glances) == 3
    assert ApiKey.objects.get().name == "after"


def test_who_is_patient_no_longer_is_told_that_the_file_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    connection.ensure_connection()
    monkeypatch.setattr(connections["default"], "_patience", 0.0)
    with pytest.raises(OperationalError, match="locked"):
        ApiKey.objects.update(name="never")
    other.close()


def test_sqlite_itself_never_makes_the_process_wait() -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (0,)


def test_a_transaction_that_fails_or_loses_its_connection_frees_the_lock() -> None:
    with pytest.raises(ValueError, match="mine"), transaction.atomic():
        raise ValueError("mine")
    try:
        with transaction.atomic():
            connection.close()
    except Exception:  # noqa: BLE001 - whichever way Django puts it, the lock is what matters
        pass
    with transaction.atomic():
        ApiKey.objects.create(name="free", provider="codex")


def test_a_durable_commit_is_synchronous_and_the_next_is_not() -> None:
    from floway.durability import durable_commits

    def level() -> int:
        with connection.cursor() as cursor:
            return int(cursor.execute("PRAGMA synchronous").fetchone()[0])

    with durable_commits():
        assert level() == 2
    assert level() == 1

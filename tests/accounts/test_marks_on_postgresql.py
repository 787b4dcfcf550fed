"""What changes the mark on PostgreSQL stands in nobody's way: no other writer's, no migration's, no restored backup's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from accounts.models import OAuthCredential
from tests.accounts.test_editions import KINDS, changes, execute, mark, populate
from tests.fakes.writer import Writer, ask

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's triggers fire with their statement"),
]


@contextmanager
def taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_who_changes_the_mark_waits_for_no_other_row() -> None:
    """A key and its logins are saved while another holds the login's row, and then changes the mark too."""
    credential, key = populate()
    key.credentials.clear()

    def save() -> None:
        key.save()
        key.credentials.add(credential)

    before, saving = mark(), Writer(save)
    with transaction.atomic():
        held = OAuthCredential.objects.select_for_update().get(pk=credential.pk)
        saving.start()
        saving.wait_until_it_waits()
        held.plan = "changed"
        held.save()
    saving.finish()
    assert mark() != before
    assert ask("SELECT count(*) FROM accounts_editionqueue") == 0


def test_a_migration_may_change_a_columns_type_and_drop_it() -> None:
    populate()
    table = "accounts_credentialproxy"
    with taken_back():
        before = mark()
        execute(f"ALTER TABLE {table} ALTER COLUMN shown TYPE varchar(500)")
        execute(f"ALTER TABLE {table} DROP COLUMN shown CASCADE")
        execute(f"UPDATE {table} SET sealed = 'another'")
        execute(f"SET CONSTRAINTS {table}_update_marks, accounts_editionqueue_marks IMMEDIATE")
        assert mark() != before


def test_a_column_that_a_migration_adds_decides() -> None:
    populate()
    with taken_back():
        before = mark()
        execute("ALTER TABLE accounts_pool ADD COLUMN added integer")
        execute("UPDATE accounts_pool SET added = 1, cursor = 7")
        execute("SET CONSTRAINTS accounts_pool_update_marks, accounts_editionqueue_marks IMMEDIATE")
        assert mark() != before


def test_a_row_that_stays_as_it_is_changes_no_mark() -> None:
    populate()
    for kind in KINDS:
        key = kind._meta.pk.column
        assert not changes(lambda write=f'UPDATE "{kind._meta.db_table}" SET "{key}" = "{key}"': execute(write)), kind.__name__


def test_a_writer_may_look_for_tables_nowhere() -> None:
    populate()

    def write() -> None:
        with transaction.atomic():
            execute("SET LOCAL search_path TO ''")
            execute("UPDATE public.accounts_oauthcredential SET plan = 'changed'")

    assert changes(write)


def test_a_table_that_is_emptied_at_once_changes_the_mark() -> None:
    for kind in KINDS:
        assert changes(lambda table=kind._meta.db_table: execute(f'TRUNCATE "{table}" CASCADE')), kind.__name__
    assert ask("SELECT count(*) FROM accounts_editionqueue") == 0

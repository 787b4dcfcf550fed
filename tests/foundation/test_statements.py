"""Raw statements fail, are refused and go on as Django's own would; what they look up is found by an index."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, models, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from accounts.models import OAuthCredential, Pool
from floway import sql

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "INSERT INTO accounts_pool (provider, policy, moves_on_usage_limit, cursor) VALUES (%s, 'weights', %s, 0)"


def add(provider: str) -> int:
    return sql.change(ADD, [provider, False])


def test_an_error_is_djangos() -> None:
    add("one")
    with pytest.raises(IntegrityError):
        add("one")
    with pytest.raises((OperationalError, ProgrammingError)):
        sql.fetch("SELECT nothing FROM nowhere", [])
    assert sql.fetch("SELECT provider FROM accounts_pool", []) == [("one",)]


def test_a_broken_transaction_refuses_what_comes_next_and_leaves_nothing() -> None:
    with transaction.atomic():
        add("one")
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            add("two")
    assert not Pool.objects.exists()


def test_whoever_looks_on_sees_them() -> None:
    with CaptureQueriesContext(connection) as seen, transaction.atomic():
        add("one")
    assert [query["sql"].split()[0] for query in seen] == ["BEGIN", "INSERT", "COMMIT"]


def test_a_statement_that_is_prepared_goes_on_when_a_table_has_grown() -> None:
    """Old and new code run together: the old one's columns are the same, whatever a migration adds."""
    shape = sql.shape(Pool)
    read = f"SELECT {shape.columns('p')} FROM {shape.table} p WHERE p.provider = %s"
    add("one")
    for _ in range(10):
        sql.fetch(read, ["one"])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_pool ADD COLUMN later integer")
    try:
        assert shape.instance(sql.fetch(read, ["one"])[0]).provider == "one"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_pool DROP COLUMN later")


def test_what_refers_to_a_row_is_found_by_an_index_when_the_row_is_deleted() -> None:
    missing: set[str] = set()
    for model in apps.get_app_config("responses_app").get_models():
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, model._meta.db_table).values()
        led = {of["columns"][0] for of in found if (of["index"] or of["unique"] or of["primary_key"]) and of["columns"]}
        references: list[Any] = [field for field in model._meta.concrete_fields if isinstance(field, models.ForeignKey)]
        missing |= {
            str(field) for field in references if field.db_constraint and field.column not in led and _is_asked_for(field)
        }
    assert missing == set()


def _is_asked_for(field: Any) -> bool:
    """A login is hardly ever deleted: what refers to it is looked through then, and every turn is spared an index."""
    return field.related_model is not OAuthCredential

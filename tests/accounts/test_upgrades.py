"""Upgrades: every earlier state of the schema, with rows in every table, comes to the latest with all of them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)
OURS = ("accounts", "responses_app")
THE_DATABASES = {"EditionMark"}
"""Tables that the database itself writes."""
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Made = dict[str, dict[int, Any]]
"""The keys of rows, by table and number."""


@pytest.fixture
def latest_afterwards() -> Iterator[None]:
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def to(target: tuple[str, str]) -> Any:
    """The registry of the database at `target`."""
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    loader = MigrationExecutor(connection).loader
    return loader.project_state([node for node in loader.applied_migrations if node in loader.graph.nodes]).apps


def fill(apps: Any, numbers: range) -> None:
    """A row for each number in every table of ours, referring to one another."""
    made: Made = {}
    waiting = [model for model in apps.get_models() if is_ours(model)]
    while waiting:
        ready = [model for model in waiting if needs(model) <= made.keys()]
        assert ready, f"tables in a circle: {waiting}"
        for model in ready:
            made[label(model)] = {n: model._base_manager.create(**values(model, n, made)).pk for n in numbers}
            waiting.remove(model)


def label(model: Any) -> str:
    return str(model._meta.label)


def needs(model: type[models.Model]) -> set[str]:
    """The other tables of ours that a row cannot do without."""
    related = {label(f.related_model) for f in model._meta.fields if f.remote_field and not f.null and is_ours(f.related_model)}
    return related - {label(model)}


def is_ours(model: Any) -> bool:
    return model._meta.app_label in OURS and model.__name__ not in THE_DATABASES


def values(model: type[models.Model], number: int, made: Made) -> dict[str, Any]:
    """What a row needs; what may be empty or has a default is left."""
    found: dict[str, Any] = {}
    for field in model._meta.fields:
        if field.remote_field:
            found |= refer(field, number, made)
        elif is_key(field) or isinstance(field, models.UUIDField) or is_asked_for(field):
            found[field.name] = value(field, number)
    return found


def is_key(field: Any) -> bool:
    return bool(field.primary_key) and isinstance(field, models.CharField)


def is_asked_for(field: Any) -> bool:
    filled = field.null or field.has_default() or getattr(field, "auto_now_add", False)
    return not (filled or isinstance(field, models.AutoField))


def refer(field: Any, number: int, made: Made) -> dict[str, Any]:
    if label(field.related_model) in made:
        return {field.attname: made[label(field.related_model)][number]}
    return {} if field.null else {field.name: foreign(field.related_model, number)}


def foreign(model: Any, number: int) -> Any:
    """A row of a table that is not ours: a person or a group."""
    called = "username" if model.__name__ == "User" else "name"
    return model.objects.get_or_create(**{called: f"{called}-{number}"})[0]


def value(field: Any, number: int) -> Any:
    kinds: list[tuple[type[models.Field], Any]] = [
        (models.BinaryField, f"bytes-{number}-{field.name}".encode()),
        (models.BooleanField, bool(number % 2)),
        (models.DateTimeField, NOW),
        (models.DateField, NOW.date()),
        (models.DecimalField, Decimal(number)),
        (models.UUIDField, uuid.uuid4()),
        (models.JSONField, {"n": number}),
        (models.CharField, f"{field.name}-{number}"[: field.max_length]),
        (models.TextField, f"text {number}"),
        (models.FloatField, number / 3),
        (models.IntegerField, number),
    ]
    return next(made for kind, made in kinds if isinstance(field, kind))


def contents(apps: Any) -> dict[str, dict[Any, dict[str, Any]]]:
    """Every row by table and key."""
    return {
        label(model): {row["pk"]: row for row in model._base_manager.values("pk", *names(model))}
        for model in apps.get_models()
        if is_ours(model)
    }


def names(model: type[models.Model]) -> Iterator[str]:
    return (field.attname for field in model._meta.fields if not isinstance(field, models.BinaryField))


def test_rows_written_at_every_earlier_state_come_to_the_latest(latest_afterwards: None) -> None:
    """One way through all states: rows are added at each, and at the end all of them are there with what they held."""
    executor = MigrationExecutor(connection)
    executor.migrate([(app, None) for app in OURS])
    executor = MigrationExecutor(connection)
    state = executor.loader.project_state([node for node in executor.loader.applied_migrations if node[0] not in OURS])
    written: dict[str, dict[Any, dict[str, Any]]] = {}
    steps = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    for place, migration in enumerate(steps):
        state = executor.migrate([], plan=[(migration, False)], state=state)
        if place < len(steps) - 1:
            fill(state.apps, range(2 * place, 2 * place + 2))
            for table, rows in contents(state.apps).items():
                written[table] = {**rows, **written.get(table, {})}
    after = contents(state.apps)
    for table, rows in written.items():
        assert set(after[table]) >= set(rows), table
        for key, row in rows.items():
            kept = {name: after[table][key].get(name) for name in row if row[name] is not None and name in after[table][key]}
            assert kept.items() <= row.items(), (table, key)


def test_the_latest_state_can_be_gone_back_from_and_come_to_again(latest_afterwards: None) -> None:
    executor = MigrationExecutor(connection)
    apps = executor.loader.project_state(executor.loader.graph.leaf_nodes()).apps
    fill(apps, range(2))
    kept = {"accounts.OAuthCredential", "accounts.CredentialTokens", "accounts.ApiKey", "responses_app.Item"}
    before = {table: set(rows) for table, rows in contents(apps).items() if table in kept}
    old = to(("accounts", "0004_require_openai_device_id"))
    assert {table: set(rows) for table, rows in contents(old).items() if table in before} == {
        table: rows for table, rows in before.items() if table.startswith("accounts.") or table in contents(old)
    }


OLD_CODE_WRITES = ("accounts.OAuthCredential", "accounts.CredentialTokens", "accounts.ApiKey", "responses_app.Exchange")


@pytest.mark.parametrize("table", OLD_CODE_WRITES)
def test_old_code_can_still_write_its_rows_into_the_new_schema(table: str) -> None:
    """While new and old processes run together: the old ones name no column that they do not know."""
    loader = MigrationExecutor(connection).loader
    first = [("accounts", "0004_require_openai_device_id"), ("responses_app", "0003_keepsake")]
    old = loader.project_state(first).apps
    made: Made = {}
    order = itertools.chain(["accounts.OAuthCredential", "accounts.ApiKey"], [table])
    for name in dict.fromkeys(order):
        model = old.get_model(name)
        made[name] = {0: model._base_manager.create(**values(model, 0, made)).pk}
    assert all(rows[0] for rows in made.values())

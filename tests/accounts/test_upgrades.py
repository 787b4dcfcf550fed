"""Upgrades: every earlier state of the schema, with rows in every table, comes to the latest with all of them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)
OURS = ("accounts", "responses_app")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def states() -> list[tuple[str, str]]:
    """Every migration of ours that another follows, in the order in which they are applied."""
    graph = MigrationExecutor(None).loader.graph  # type: ignore[arg-type] # the files alone
    leaves = graph.leaf_nodes()
    plan = dict.fromkeys(node for leaf in sorted(leaves) for node in graph.forwards_plan(leaf))
    return [node for node in plan if node[0] in OURS and node not in leaves]


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


def fill(apps: Any, count: int) -> dict[str, int]:
    """`count` rows in every table of ours, referring to one another; how many there are by table."""
    made: dict[type[models.Model], list[models.Model]] = {}
    waiting = [model for model in apps.get_models() if model._meta.app_label in OURS]
    while waiting:
        ready = [model for model in waiting if all(needed in made for needed in needs(model) if needed is not model)]
        assert ready, f"tables in a circle: {waiting}"
        for model in ready:
            made[model] = [model._base_manager.create(**values(model, number, made)) for number in range(count)]
            waiting.remove(model)
    return {model._meta.label: model._base_manager.count() for model in made}


def needs(model: type[models.Model]) -> list[Any]:
    return [f.related_model for f in model._meta.fields if f.remote_field and not f.null and is_ours(f.related_model)]


def is_ours(model: Any) -> bool:
    return model._meta.app_label in OURS


def values(model: type[models.Model], number: int, made: dict[type[models.Model], list[models.Model]]) -> dict[str, Any]:
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


def refer(field: Any, number: int, made: dict[type[models.Model], list[models.Model]]) -> dict[str, Any]:
    if field.related_model in made:
        return {field.name: made[field.related_model][number]}
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
        model._meta.label: {row["pk"]: row for row in model._base_manager.values("pk", *names(model))}
        for model in apps.get_models()
        if is_ours(model)
    }


def names(model: type[models.Model]) -> Iterator[str]:
    return (field.attname for field in model._meta.fields if not isinstance(field, models.BinaryField))


@pytest.mark.parametrize("state", states(), ids="/".join)
def test_every_earlier_state_with_rows_in_it_comes_to_the_latest(state: tuple[str, str], latest_afterwards: None) -> None:
    old = to(state)
    counted = fill(old, 3)
    before = contents(old)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    new = MigrationExecutor(connection).loader.project_state(executor.loader.graph.leaf_nodes()).apps
    after = contents(new)
    assert {label: len(after[label]) for label in counted} == counted
    for label, rows in before.items():
        for key, row in rows.items():
            kept = {name: after[label][key].get(name) for name in row if row[name] is not None and name in after[label][key]}
            assert kept.items() <= row.items(), (label, key)


def test_the_latest_state_can_be_gone_back_from_and_come_to_again(latest_afterwards: None) -> None:
    executor = MigrationExecutor(connection)
    apps = executor.loader.project_state(executor.loader.graph.leaf_nodes()).apps
    fill(apps, 2)
    kept = {"accounts.OAuthCredential", "accounts.CredentialTokens", "accounts.ApiKey", "responses_app.Item"}
    before = {label: set(rows) for label, rows in contents(apps).items() if label in kept}
    old = to(("accounts", "0004_require_openai_device_id"))
    assert {label: set(rows) for label, rows in contents(old).items() if label in before} == {
        label: rows for label, rows in before.items() if label.startswith("accounts.") or label in contents(old)
    }


OLD_CODE_WRITES = ("accounts.OAuthCredential", "accounts.CredentialTokens", "accounts.ApiKey", "responses_app.Exchange")


@pytest.mark.parametrize("label", OLD_CODE_WRITES)
def test_old_code_can_still_write_its_rows_into_the_new_schema(label: str) -> None:
    """While new and old processes run together: the old ones name no column that they do not know."""
    loader = MigrationExecutor(connection).loader
    first = [("accounts", "0004_require_openai_device_id"), ("responses_app", "0003_keepsake")]
    old = loader.project_state(first).apps
    made: dict[type[models.Model], list[models.Model]] = {}
    order = itertools.chain(["accounts.OAuthCredential", "accounts.ApiKey"], [label])
    for name in dict.fromkeys(order):
        model = old.get_model(name)
        made[model] = [model._base_manager.create(**values(model, 0, made))]
    assert all(rows[0].pk for rows in made.values())

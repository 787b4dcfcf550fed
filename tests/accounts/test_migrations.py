"""The device id's migrations, from the old state to the new and back, with rows in it."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ("accounts", "0001_initial")
FILLED = ("accounts", "0003_backfill_openai_device_id")
LATEST = ("accounts", "0004_require_openai_device_id")
KEY = "openaiDeviceId"


def migrate(target: tuple[str, str]) -> Any:
    """Bring the schema to `target`; returns the app registry of that state."""
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    return MigrationExecutor(connection).loader.project_state([target]).apps


@pytest.fixture
def old() -> Any:
    """The registry before the column; the schema is whole again afterwards."""
    yield migrate(BEFORE)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def add(apps: Any, subject: str, rest: Any) -> int:
    row = apps.get_model("accounts", "OAuthCredential").objects.create(provider="codex", subject=subject, document_rest=rest)
    return int(row.pk)


def ids(apps: Any) -> dict[str, uuid.UUID]:
    rows = apps.get_model("accounts", "OAuthCredential").objects.order_by("pk")
    return dict(rows.values_list("subject", "openai_device_id"))


def test_an_empty_table_passes(old: Any) -> None:
    assert ids(migrate(LATEST)) == {}


def test_a_documents_own_valid_id_is_kept_and_everything_else_is_minted(old: Any) -> None:
    own, shared = uuid.uuid4(), uuid.uuid4()
    add(old, "own", {KEY: str(own), "other": 1})
    add(old, "upper case", {KEY: f" {shared!s} ".upper()})
    add(old, "younger duplicate", {KEY: str(shared)})
    add(old, "missing", {})
    for n, bad in enumerate(["", "nonsense", str(uuid.uuid1()), 7, None, ["x"], {"a": 1}]):
        add(old, f"bad {n}", {KEY: bad})
    add(old, "no object", ["a list"])
    found = ids(migrate(LATEST))
    assert found["own"] == own
    assert found["upper case"] == shared
    assert found["younger duplicate"] != shared
    assert len(set(found.values())) == len(found) == 12
    assert all(value.version == 4 for value in found.values())


def test_a_thousand_rows_get_a_thousand_ids(old: Any) -> None:
    model = old.get_model("accounts", "OAuthCredential")
    model.objects.bulk_create(model(provider="codex", subject=str(n), document_rest={}) for n in range(1000))
    found = ids(migrate(LATEST))
    assert len(set(found.values())) == 1000


def test_there_and_back_and_there_again_gives_every_row_the_same_id(old: Any) -> None:
    add(old, "minted", {"kept": True})
    add(old, "own", {KEY: str(uuid.uuid4())})
    first = ids(migrate(LATEST))
    before = migrate(BEFORE)
    rest = before.get_model("accounts", "OAuthCredential").objects.get(subject="minted").document_rest
    assert rest == {"kept": True, KEY: str(first["minted"])}
    assert ids(migrate(LATEST)) == first


def test_a_run_that_was_cut_short_can_be_run_again(old: Any) -> None:
    add(old, "one", {})
    apps = migrate(("accounts", "0002_oauthcredential_openai_device_id"))
    kept = uuid.uuid4()
    apps.get_model("accounts", "OAuthCredential").objects.update(openai_device_id=kept)
    add(apps, "two", {KEY: str(kept)})
    found = ids(migrate(FILLED))
    assert found["one"] == kept
    assert found["two"] not in {kept, None}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="counts time; once is enough")
def test_a_hundred_thousand_rows_get_their_ids_within_seconds(old: Any) -> None:
    model = old.get_model("accounts", "OAuthCredential")
    shared = str(uuid.uuid4())
    odd = [{KEY: shared}, {KEY: "nonsense"}, {KEY: 7}, {}, ["a list"]]
    first = model.objects.create(provider="codex", subject="0", document_rest=odd[0])
    table = model._meta.db_table
    columns = [field.column for field in model._meta.fields if field.column not in {"id", "subject", "document_rest"}]
    rest = "json_extract(%s, '$[' || (n %% 5) || ']')"
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 99999) "
            f"INSERT INTO {table} (subject, document_rest, {', '.join(columns)}) "
            f"SELECT n, {rest}, {', '.join(columns)} FROM count, {table} WHERE id = %s",
            [json.dumps(odd), first.pk],
        )
    began = time.monotonic()
    apps = migrate(LATEST)
    took = time.monotonic() - began
    found = apps.get_model("accounts", "OAuthCredential").objects
    assert found.values("openai_device_id").distinct().count() == 100_000
    assert found.get(openai_device_id=shared).subject == "0"
    assert took < 60, took
    found.all().delete()

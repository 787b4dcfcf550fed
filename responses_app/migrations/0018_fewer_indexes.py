"""Indexes that every turn wrote and no statement needed: prefixes of others, of logins, and those that hold mostly nulls.

Nothing is rebuilt, and nobody who reads or writes waits: SQLite drops them at once, PostgreSQL `CONCURRENTLY`. Cut short, it
can be run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django.db.models.deletion
from django.db import migrations, models, transaction

_SPARSE = {
    ("exchange", "continued"): "exchange_continued",
    ("item", "credential"): "item_by_issuer",
    ("segment", "parent"): "segment_forks",
    ("segmententry", "item"): "entry_by_item",
    ("snapshot", "parent"): "snapshot_children",
    ("snapshot", "continued_by"): "snapshot_held",
}
_DROPPED = [
    ("conversation", "credential"),
    ("eventbatch", "response"),
    ("exchange", "api_key"),
    ("exchange", "continued"),
    ("exchange", "conversation"),
    ("exchange", "credential"),
    ("idempotentrequest", "api_key"),
    ("item", "conversation"),
    ("item", "credential"),
    ("keepsake", "conversation"),
    ("keepsake", "credential"),
    ("namedconversation", "api_key"),
    ("provenance", "api_key"),
    ("provenance", "credential"),
    ("recallkey", "api_key"),
    ("segment", "parent"),
    ("segmententry", "item"),
    ("segmententry", "segment"),
    ("snapshot", "continued_by"),
    ("snapshot", "credential"),
    ("snapshot", "parent"),
]


@contextmanager
def _unhurried(editor: Any) -> Iterator[str]:
    """What to say of an index so that it is made or dropped without anybody waiting."""
    if editor.connection.vendor == "postgresql":
        yield "CONCURRENTLY "
    else:
        with transaction.atomic(editor.connection.alias):
            yield ""


def _place(apps: Any, model: str, field: str) -> tuple[str, str]:
    meta = apps.get_model("responses_app", model)._meta
    return meta.db_table, meta.get_field(field).column


def _own(apps: Any, editor: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Tables and columns, and the indexes that Django made for each as a foreign key's."""
    places = [_place(apps, model, field) for model, field in _DROPPED]
    with editor.connection.cursor() as cursor:
        constraints = {table: editor.connection.introspection.get_constraints(cursor, table) for table in dict(places)}
    for table, column in places:
        names = [
            name
            for name, of in constraints[table].items()
            if of["index"] and not of["unique"] and of["columns"] == [column] and name.startswith(f"{table}_{column}_")
        ]
        yield table, column, names


def make_sparse(apps: Any, editor: Any) -> None:
    for (model, field), name in _SPARSE.items():
        table, column = _place(apps, model, field)
        with _unhurried(editor) as how:
            # One that was left half made is invalid.
            editor.execute(f'DROP INDEX {how}IF EXISTS "{name}"')
            editor.execute(f'CREATE INDEX {how}"{name}" ON "{table}" ("{column}") WHERE "{column}" IS NOT NULL')


def drop(apps: Any, editor: Any) -> None:
    for _, _, names in _own(apps, editor):
        for name in names:
            with _unhurried(editor) as how:
                editor.execute(f'DROP INDEX {how}IF EXISTS "{name}"')


def make_again(apps: Any, editor: Any) -> None:
    for table, column, names in _own(apps, editor):
        if not names:
            name = editor._create_index_name(table, [column])
            with _unhurried(editor) as how:
                editor.execute(f'CREATE INDEX {how}"{name}" ON "{table}" ("{column}")')


def drop_sparse(_: Any, editor: Any) -> None:
    for name in _SPARSE.values():
        with _unhurried(editor) as how:
            editor.execute(f'DROP INDEX {how}IF EXISTS "{name}"')


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("accounts", "0013_operator_tokens"),
        ("responses_app", "0017_prices_as_published"),
    ]

    operations = [
        migrations.RunPython(make_sparse, drop_sparse),
        migrations.RunPython(drop, make_again),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="conversation",
                    name="credential",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="conversations",
                        to="accounts.oauthcredential",
                    ),
                ),
                migrations.AlterField(
                    model_name="eventbatch",
                    name="response",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batches",
                        to="responses_app.backgroundresponse",
                    ),
                ),
                migrations.AlterField(
                    model_name="exchange",
                    name="api_key",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="exchanges",
                        to="accounts.apikey",
                    ),
                ),
                migrations.AlterField(
                    model_name="exchange",
                    name="continued",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="continuations",
                        to="responses_app.snapshot",
                    ),
                ),
                migrations.AlterField(
                    model_name="exchange",
                    name="conversation",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="exchanges",
                        to="responses_app.conversation",
                    ),
                ),
                migrations.AlterField(
                    model_name="exchange",
                    name="credential",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="exchanges",
                        to="accounts.oauthcredential",
                    ),
                ),
                migrations.AlterField(
                    model_name="idempotentrequest",
                    name="api_key",
                    field=models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.apikey"
                    ),
                ),
                migrations.AlterField(
                    model_name="item",
                    name="conversation",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="responses_app.conversation",
                    ),
                ),
                migrations.AlterField(
                    model_name="item",
                    name="credential",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.oauthcredential",
                    ),
                ),
                migrations.AlterField(
                    model_name="keepsake",
                    name="conversation",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keepsakes",
                        to="responses_app.conversation",
                    ),
                ),
                migrations.AlterField(
                    model_name="keepsake",
                    name="credential",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.oauthcredential",
                    ),
                ),
                migrations.AlterField(
                    model_name="namedconversation",
                    name="api_key",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="named_conversations",
                        to="accounts.apikey",
                    ),
                ),
                migrations.AlterField(
                    model_name="provenance",
                    name="api_key",
                    field=models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.apikey"
                    ),
                ),
                migrations.AlterField(
                    model_name="provenance",
                    name="credential",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.oauthcredential",
                    ),
                ),
                migrations.AlterField(
                    model_name="recallkey",
                    name="api_key",
                    field=models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.apikey"
                    ),
                ),
                migrations.AlterField(
                    model_name="segment",
                    name="parent",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="forks",
                        to="responses_app.segment",
                    ),
                ),
                migrations.AlterField(
                    model_name="segmententry",
                    name="item",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="responses_app.item",
                    ),
                ),
                migrations.AlterField(
                    model_name="segmententry",
                    name="segment",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entries",
                        to="responses_app.segment",
                    ),
                ),
                migrations.AlterField(
                    model_name="snapshot",
                    name="continued_by",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="held_snapshots",
                        to="responses_app.exchange",
                    ),
                ),
                migrations.AlterField(
                    model_name="snapshot",
                    name="credential",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.oauthcredential",
                    ),
                ),
                migrations.AlterField(
                    model_name="snapshot",
                    name="parent",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="children",
                        to="responses_app.snapshot",
                    ),
                ),
                migrations.AddIndex(
                    model_name="exchange",
                    index=models.Index(
                        fields=["continued"], name="exchange_continued", condition=models.Q(("continued__isnull", False))
                    ),
                ),
                migrations.AddIndex(
                    model_name="item",
                    index=models.Index(
                        fields=["credential"], name="item_by_issuer", condition=models.Q(("credential__isnull", False))
                    ),
                ),
                migrations.AddIndex(
                    model_name="segment",
                    index=models.Index(fields=["parent"], name="segment_forks", condition=models.Q(("parent__isnull", False))),
                ),
                migrations.AddIndex(
                    model_name="segmententry",
                    index=models.Index(fields=["item"], name="entry_by_item", condition=models.Q(("item__isnull", False))),
                ),
                migrations.AddIndex(
                    model_name="snapshot",
                    index=models.Index(
                        fields=["parent"], name="snapshot_children", condition=models.Q(("parent__isnull", False))
                    ),
                ),
                migrations.AddIndex(
                    model_name="snapshot",
                    index=models.Index(
                        fields=["continued_by"], name="snapshot_held", condition=models.Q(("continued_by__isnull", False))
                    ),
                ),
            ],
        ),
    ]

"""Gives every credential its device id: the imported document's own where it has a valid one, else a fresh UUIDv4.

The document's rest may say `openaiDeviceId`. Of several credentials with the same id the oldest keeps it. Rows that have an id
already are left alone, so a run that was cut short can be run again. Backwards, ids that came from a document are forgotten
(they stand there still) and minted ones are written into it, so that going forward again gives every row the same id.
"""

import sys
import uuid

from django.db import migrations

BATCH = 500
KEY = "openaiDeviceId"


def _stated(document):
    """The document's own device id as a UUID, or None where it is missing or no UUIDv4."""
    value = document.get(KEY) if isinstance(document, dict) else None
    if not isinstance(value, str):
        return None
    try:
        parsed = uuid.UUID(value.strip())
    except ValueError:
        return None
    return parsed if parsed.version == 4 and parsed.variant == uuid.RFC_4122 else None


def _batches(rows):
    """Rows in lists of BATCH, by primary key, without holding a cursor open while they are written."""
    last = 0
    while batch := list(rows.filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield batch
        last = batch[-1].pk


def _stated_batches(credentials):
    """Primary key and stated id of the rows without one, BATCH at a time."""
    last = 0
    rows = credentials.filter(openai_device_id=None).order_by("pk").values_list("pk", "document_rest")
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        yield {pk: _stated(document) for pk, document in batch}
        last = batch[-1][0]


def _write(connection, model, ids):
    """One statement a row, sent together: a CASE over as many rows takes many times as long."""
    column = model._meta.get_field("openai_device_id")
    table, name, key = (
        connection.ops.quote_name(text) for text in (model._meta.db_table, column.column, model._meta.pk.column)
    )
    rows = [(column.get_db_prep_save(value, connection), pk) for pk, value in ids.items()]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {name} = %s WHERE {key} = %s", rows)  # noqa: S608 - names of our own


def backfill(apps, schema_editor):
    """Fill what is empty."""
    alias = schema_editor.connection.alias
    credentials = apps.get_model("accounts", "OAuthCredential").objects.using(alias)
    kept = minted = 0
    for stated in _stated_batches(credentials):
        wanted = [value for value in stated.values() if value]
        taken = set(credentials.filter(openai_device_id__in=wanted).values_list("openai_device_id", flat=True))
        ids = {}
        for pk, own in stated.items():
            free = own is not None and own not in taken
            ids[pk] = own if free else uuid.uuid4()
            taken.add(ids[pk])
            kept += free
            minted += not free
        _write(schema_editor.connection, credentials.model, ids)
    if kept or minted:
        sys.stdout.write(f"\n    device ids: {kept} from imported documents, {minted} minted")


def remember(apps, schema_editor):
    """Write every id into its document before the column goes."""
    credentials = apps.get_model("accounts", "OAuthCredential").objects.using(schema_editor.connection.alias)
    for batch in _batches(credentials.exclude(openai_device_id=None)):
        for row in batch:
            rest = row.document_rest if isinstance(row.document_rest, dict) else {}
            row.document_rest = {**rest, KEY: str(row.openai_device_id)}
            row.openai_device_id = None
        credentials.bulk_update(batch, ["document_rest", "openai_device_id"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_oauthcredential_openai_device_id")]

    operations = [migrations.RunPython(backfill, remember)]

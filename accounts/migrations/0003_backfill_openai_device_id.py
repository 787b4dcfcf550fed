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


def _write(connection, model, batch):
    """One statement a row, sent together: a CASE over as many rows takes ten times as long to parse."""
    column = model._meta.get_field("openai_device_id")
    table, name, key = (
        connection.ops.quote_name(text) for text in (model._meta.db_table, column.column, model._meta.pk.column)
    )
    rows = [(column.get_db_prep_save(row.openai_device_id, connection), row.pk) for row in batch]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {name} = %s WHERE {key} = %s", rows)


def backfill(apps, schema_editor):
    """Fill what is empty."""
    alias = schema_editor.connection.alias
    credentials = apps.get_model("accounts", "OAuthCredential").objects.using(alias)
    kept = minted = 0
    for batch in _batches(credentials.filter(openai_device_id=None)):
        stated = {row.pk: _stated(row.document_rest) for row in batch}
        taken = set(
            credentials.filter(openai_device_id__in=[value for value in stated.values() if value]).values_list(
                "openai_device_id", flat=True
            )
        )
        for row in batch:
            value = stated[row.pk]
            if value and value not in taken:
                row.openai_device_id = value
                kept += 1
            else:
                row.openai_device_id = uuid.uuid4()
                minted += 1
            taken.add(row.openai_device_id)
        _write(schema_editor.connection, credentials.model, batch)
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

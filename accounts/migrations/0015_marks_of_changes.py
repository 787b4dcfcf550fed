"""The database itself changes the mark with every row that tells who may call and with what, whoever writes it.

On PostgreSQL as the last act of a transaction: whoever holds the mark's row waits for no other any more. A later migration that
adds a column to one of these tables, or has SQLite make one anew, makes the triggers anew too.
"""

from django.db import migrations

_TABLES = {
    # Each with the columns that nothing is decided by; they change often.
    "ApiKey": {"last_used_at"},
    "ApiKeySecret": {"last_used_at"},
    "OAuthCredential": {"quota_polled_at", "probe_until"},
    "CredentialTokens": set(),
    "CredentialProxy": set(),
    "CredentialFacts": set(),
    "Pool": {"cursor"},
    "ApiKey_credentials": set(),
}
_FUNCTION = """
CREATE FUNCTION accounts_editionmark_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
INSERT INTO accounts_editionmark (id, mark) VALUES (1, gen_random_uuid()::text)
ON CONFLICT (id) DO UPDATE SET mark = EXCLUDED.mark;
RETURN NULL;
END $$
"""
_CHANGE = """
UPDATE accounts_editionmark SET mark = hex(randomblob(16)) WHERE id = 1;
INSERT INTO accounts_editionmark (id, mark)
SELECT 1, hex(randomblob(16)) WHERE NOT EXISTS (SELECT 1 FROM accounts_editionmark WHERE id = 1);
"""


def _triggers(apps):
    """Name, event and table of each."""
    for name, ignored in _TABLES.items():
        meta = apps.get_model("accounts", name)._meta
        columns = ", ".join(f'"{field.column}"' for field in meta.concrete_fields if field.name not in ignored)
        for event, of in (("insert", "INSERT"), ("delete", "DELETE"), ("update", f"UPDATE OF {columns}")):
            yield f"{meta.db_table}_{event}_marks", of, meta.db_table


def forwards(apps, schema_editor):
    """Triggers, as the database has them; and a first mark."""
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    if on_postgresql:
        schema_editor.execute(_FUNCTION)
    for name, event, table in _triggers(apps):
        if on_postgresql:
            schema_editor.execute(
                f'CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON "{table}" DEFERRABLE INITIALLY DEFERRED'
                " FOR EACH ROW EXECUTE FUNCTION accounts_editionmark_change()"
            )
        else:
            schema_editor.execute(f'CREATE TRIGGER {name} AFTER {event} ON "{table}" BEGIN {_CHANGE} END')
    apps.get_model("accounts", "EditionMark").objects.get_or_create(id=1, defaults={"mark": "first"})


def backwards(apps, schema_editor):
    """Without them."""
    on_postgresql = schema_editor.connection.vendor == "postgresql"
    for name, _, table in _triggers(apps):
        schema_editor.execute(f'DROP TRIGGER {name} ON "{table}"' if on_postgresql else f"DROP TRIGGER {name}")
    if on_postgresql:
        schema_editor.execute("DROP FUNCTION accounts_editionmark_change()")
    apps.get_model("accounts", "EditionMark").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0014_editionmark")]

    operations = [migrations.RunPython(forwards, backwards)]

"""The database itself changes the mark with every row that tells who may call and with what, whoever writes it.

On PostgreSQL as the last act of a transaction, in two steps: triggers that are deferred fire in the order of their events, mixed
with the checks of foreign keys, which wait for rows; what a deferred trigger brings about comes after all of them. So whoever holds
the mark's row waits for no other any more. A later migration that has SQLite make one of these tables anew, or adds a column to one,
makes SQLite's triggers anew too; PostgreSQL's look at whole rows.
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
_QUEUE = """
CREATE UNLOGGED TABLE accounts_editionqueue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);

CREATE FUNCTION accounts_editionqueue_add() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
$$ DECLARE
ignored text[] := COALESCE(TG_ARGV, '{}');
BEGIN
IF TG_OP <> 'UPDATE' OR to_jsonb(NEW) - ignored IS DISTINCT FROM to_jsonb(OLD) - ignored THEN
INSERT INTO accounts_editionqueue DEFAULT VALUES;
END IF;
RETURN NULL;
END $$;

CREATE FUNCTION accounts_editionmark_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
$$ BEGIN
INSERT INTO accounts_editionmark (id, mark) VALUES (1, gen_random_uuid()::text)
ON CONFLICT (id) DO UPDATE SET mark = EXCLUDED.mark;
DELETE FROM accounts_editionqueue WHERE id = NEW.id;
RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER accounts_editionqueue_marks AFTER INSERT ON accounts_editionqueue DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION accounts_editionmark_change();
"""
_NO_QUEUE = """
DROP TABLE accounts_editionqueue;
DROP FUNCTION accounts_editionmark_change();
DROP FUNCTION accounts_editionqueue_add();
"""
_CHANGE = """
UPDATE accounts_editionmark SET mark = hex(randomblob(16)) WHERE id = 1;
INSERT INTO accounts_editionmark (id, mark)
SELECT 1, hex(randomblob(16)) WHERE NOT EXISTS (SELECT 1 FROM accounts_editionmark WHERE id = 1);
"""


def _tables(apps):
    """Each with the columns that decide something and those that do not."""
    for name, ignored in _TABLES.items():
        meta = apps.get_model("accounts", name)._meta
        deciding = [field.column for field in meta.concrete_fields if field.name not in ignored]
        yield meta.db_table, deciding, sorted(meta.get_field(field).column for field in ignored)


def _on_sqlite(apps):
    """Name and making of each trigger."""
    for table, deciding, _ in _tables(apps):
        columns = ", ".join(f'"{column}"' for column in deciding)
        for event, of in (("insert", "INSERT"), ("delete", "DELETE"), ("update", f"UPDATE OF {columns}")):
            name = f"{table}_{event}_marks"
            yield name, f'CREATE TRIGGER {name} AFTER {of} ON "{table}" BEGIN {_CHANGE} END'


def _on_postgresql(apps):
    """Name, table and making of each trigger; none names a column, for that column's type could not be changed any more."""
    for table, _, ignored in _tables(apps):
        names = ", ".join(f"'{column}'" for column in ignored)
        add = f"EXECUTE FUNCTION accounts_editionqueue_add({names})"
        for event in ("insert", "delete", "update"):
            name = f"{table}_{event}_marks"
            deferred = "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
            yield name, table, f'CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON "{table}" {deferred} {add}'
        name = f"{table}_truncate_marks"
        yield name, table, f'CREATE TRIGGER {name} AFTER TRUNCATE ON "{table}" FOR EACH STATEMENT {add}'


def forwards(apps, schema_editor):
    """Triggers, as the database has them; and a first mark."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_QUEUE)
        for _, _, making in _on_postgresql(apps):
            schema_editor.execute(making)
    else:
        for _, making in _on_sqlite(apps):
            schema_editor.execute(making)
    apps.get_model("accounts", "EditionMark").objects.get_or_create(id=1, defaults={"mark": "first"})


def backwards(apps, schema_editor):
    """Without them."""
    if schema_editor.connection.vendor == "postgresql":
        for name, table, _ in _on_postgresql(apps):
            schema_editor.execute(f'DROP TRIGGER {name} ON "{table}"')
        schema_editor.execute(_NO_QUEUE)
    else:
        for name, _ in _on_sqlite(apps):
            schema_editor.execute(f"DROP TRIGGER {name}")
    apps.get_model("accounts", "EditionMark").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0014_editionmark")]

    operations = [migrations.RunPython(forwards, backwards)]

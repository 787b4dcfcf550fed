"""The database itself refuses to change an entry of the audit log."""

from django.db import migrations

_SQLITE = """
CREATE TRIGGER accounts_auditentry_append_only BEFORE UPDATE ON accounts_auditentry
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
"""
_POSTGRESQL = """
CREATE FUNCTION accounts_auditentry_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$;
CREATE TRIGGER accounts_auditentry_append_only BEFORE UPDATE ON accounts_auditentry
FOR EACH ROW EXECUTE FUNCTION accounts_auditentry_append_only()
"""


def forwards(_, schema_editor):
    """A trigger, as the database has it."""
    schema_editor.execute(_POSTGRESQL if schema_editor.connection.vendor == "postgresql" else _SQLITE)


def backwards(_, schema_editor):
    """Without it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER accounts_auditentry_append_only ON accounts_auditentry")
        schema_editor.execute("DROP FUNCTION accounts_auditentry_append_only()")
    else:
        schema_editor.execute("DROP TRIGGER accounts_auditentry_append_only")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_people")]

    operations = [migrations.RunPython(forwards, backwards)]

"""On PostgreSQL, vacuum the tables that are cleared away all the time when a fiftieth has changed, not a fifth."""

from django.db import migrations

_TABLES = ("snapshot", "segment", "segmententry", "item", "exchange", "conversation")
_OPTIONS = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"}


def forwards(_, schema_editor):
    """Say so for each table; SQLite has nothing of the kind."""
    if schema_editor.connection.vendor == "postgresql":
        options = ", ".join(f"{name} = {value}" for name, value in _OPTIONS.items())
        for table in _TABLES:
            schema_editor.execute(f"ALTER TABLE responses_app_{table} SET ({options})")


def backwards(_, schema_editor):
    """As the server has it."""
    if schema_editor.connection.vendor == "postgresql":
        for table in _TABLES:
            schema_editor.execute(f"ALTER TABLE responses_app_{table} RESET ({', '.join(_OPTIONS)})")


class Migration(migrations.Migration):
    dependencies = [("responses_app", "0014_keeping")]

    operations = [migrations.RunPython(forwards, backwards)]

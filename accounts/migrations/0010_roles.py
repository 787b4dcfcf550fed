"""The three roles as groups. What each may do is given after the migration, when the permissions are there.

A group of that name that is there already stays as it is, with whoever is in it. Backwards, the groups stay too: people may be
in them.
"""

from django.db import migrations


def establish(apps, schema_editor):
    """Make the groups that are missing."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in ("owner", "operator", "viewer"):
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_audit_is_append_only"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(establish, migrations.RunPython.noop)]

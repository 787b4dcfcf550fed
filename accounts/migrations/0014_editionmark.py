"""A mark of changes to keys and logins."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0013_operator_tokens")]

    operations = [
        migrations.CreateModel(
            name="EditionMark",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("mark", models.CharField(max_length=64)),
            ],
            options={"verbose_name": "mark of changes", "verbose_name_plural": "marks of changes"},
        ),
    ]

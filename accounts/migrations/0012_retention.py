"""How long a key's conversations are kept."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="retention_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Days that a conversation is kept after its last turn; empty for the gateway's default.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
    ]

"""Makes the device id required and unique."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_backfill_openai_device_id")]

    operations = [
        migrations.AlterField(
            model_name="oauthcredential",
            name="openai_device_id",
            field=models.UUIDField(default=uuid.uuid4, editable=False, unique=True, verbose_name="device id"),
        ),
    ]

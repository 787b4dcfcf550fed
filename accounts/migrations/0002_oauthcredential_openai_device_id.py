"""Adds the device id, empty: filled by the next migration, required by the one after."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="oauthcredential",
            name="openai_device_id",
            field=models.UUIDField(editable=False, null=True, verbose_name="device id"),
        ),
    ]

"""Every dispatch of an exchange, for its page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("responses_app", "0004_exchange_known_items"),
    ]

    operations = [
        migrations.AddField(
            model_name="exchange",
            name="attempts",
            field=models.JSONField(default=list, help_text="Each time it was sent: with what, what came, how long.", null=True),
        ),
    ]

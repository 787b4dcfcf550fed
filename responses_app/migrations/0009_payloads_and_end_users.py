"""End users by keyed hashes, and captured payloads."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_limits"),
        ("responses_app", "0008_view_content"),
    ]

    operations = [
        migrations.CreateModel(
            name="Payload",
            fields=[
                (
                    "exchange",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="payload",
                        serialize=False,
                        to="responses_app.exchange",
                    ),
                ),
                ("sealed", models.BinaryField()),
                ("captured_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.AddField(
            model_name="exchange",
            name="end_user_digest",
            field=models.BinaryField(help_text="Of the request's `safety_identifier`.", max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="exchange",
            name="user_digest",
            field=models.BinaryField(help_text="Of the request's `user`.", max_length=32, null=True),
        ),
        migrations.AddIndex(
            model_name="exchange",
            index=models.Index(
                condition=models.Q(("end_user_digest__isnull", False)), fields=["end_user_digest"], name="exchange_by_end_user"
            ),
        ),
        migrations.AddIndex(
            model_name="exchange",
            index=models.Index(
                condition=models.Q(("user_digest__isnull", False)), fields=["user_digest"], name="exchange_by_user"
            ),
        ),
    ]

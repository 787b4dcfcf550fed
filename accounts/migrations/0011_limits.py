"""What a key may be limited to: models, requests at once, budgets, capture; secrets that end."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_roles"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="allowed_models",
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AddField(
            model_name="apikey",
            name="capture_until",
            field=models.DateTimeField(
                blank=True,
                help_text="Until then each request is kept whole, sealed.",
                null=True,
                verbose_name="capture payloads until",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="has_budgets",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="apikey",
            name="max_in_flight",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How many may be in flight at a time; empty for any number. One more is answered 429.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="requests at once",
            ),
        ),
        migrations.AddField(
            model_name="apikeysecret",
            name="expires_at",
            field=models.DateTimeField(
                help_text="Set when it was rotated out; until then it works beside the new one.", null=True
            ),
        ),
        migrations.AddField(
            model_name="apikeysecret",
            name="last_used_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="KeyBudget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("requests", "requests"), ("tokens", "tokens, in and out")], max_length=16, verbose_name="of"
                    ),
                ),
                (
                    "amount",
                    models.PositiveBigIntegerField(
                        validators=[django.core.validators.MinValueValidator(1)], verbose_name="at most"
                    ),
                ),
                (
                    "window",
                    models.CharField(
                        choices=[("minute", "minute"), ("hour", "hour"), ("day", "day"), ("month", "month")],
                        max_length=16,
                        verbose_name="in each",
                    ),
                ),
                ("used", models.PositiveBigIntegerField(db_default=0, default=0, editable=False)),
                ("began_at", models.DateTimeField(editable=False, help_text="The window that `used` counts in.", null=True)),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="budgets", to="accounts.apikey"
                    ),
                ),
            ],
            options={
                "verbose_name": "budget",
                "ordering": ["id"],
                "constraints": [models.UniqueConstraint(fields=("key", "kind", "window"), name="budget_once_per_window")],
            },
        ),
    ]

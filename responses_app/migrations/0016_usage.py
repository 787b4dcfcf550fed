"""Usage by the hour, and prices of models."""

from decimal import Decimal

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0012_retention"),
        ("responses_app", "0015_vacuum_often"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageLate",
            fields=[
                (
                    "exchange",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="responses_app.exchange",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="UsageMark",
            fields=[
                ("name", models.CharField(default="usage", max_length=16, primary_key=True, serialize=False)),
                ("counted_to", models.PositiveBigIntegerField(default=0)),
                ("safe_to", models.PositiveBigIntegerField(default=0)),
                ("seen_to", models.PositiveBigIntegerField(default=0)),
                ("seen_writers", models.JSONField(default=list)),
                ("version", models.PositiveBigIntegerField(default=0)),
                ("moved_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ModelPrice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("model", models.CharField(help_text="As callers name it, to the letter.", max_length=128)),
                (
                    "effective_from",
                    models.DateField(
                        help_text="Usage of this day (UTC) and later is priced so, until a later price.", verbose_name="from"
                    ),
                ),
                (
                    "input",
                    models.DecimalField(
                        decimal_places=6,
                        max_digits=12,
                        validators=[django.core.validators.MinValueValidator(Decimal(0))],
                        verbose_name="input",
                    ),
                ),
                (
                    "cached",
                    models.DecimalField(
                        decimal_places=6,
                        max_digits=12,
                        validators=[django.core.validators.MinValueValidator(Decimal(0))],
                        verbose_name="cached input",
                    ),
                ),
                (
                    "output",
                    models.DecimalField(
                        decimal_places=6,
                        help_text="Reasoning included. All three in US dollars per million tokens.",
                        max_digits=12,
                        validators=[django.core.validators.MinValueValidator(Decimal(0))],
                        verbose_name="output",
                    ),
                ),
                ("source", models.CharField(help_text="Where it stands: a page's address.", max_length=400)),
                ("read_on", models.DateField(help_text="When it stood there.", verbose_name="read on")),
            ],
            options={
                "verbose_name": "price of a model",
                "verbose_name_plural": "prices of models",
                "ordering": ["model", models.OrderBy(models.F("effective_from"), descending=True)],
                "constraints": [models.UniqueConstraint(fields=("model", "effective_from"), name="price_once_a_day")],
            },
        ),
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("day", models.DateField()),
                ("model", models.CharField(blank=True, max_length=128)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("in_flight", "in flight"),
                            ("completed", "completed"),
                            ("incomplete", "incomplete"),
                            ("failed", "failed"),
                            ("refused", "refused"),
                        ],
                        max_length=16,
                    ),
                ),
                ("error_code", models.CharField(blank=True, max_length=128)),
                ("requests", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("input_tokens", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("cached_tokens", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("output_tokens", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("reasoning_tokens", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_ms", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_ms", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_0", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_1", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_2", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_3", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_4", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_5", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_6", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_7", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_8", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_9", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_10", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_11", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("first_12", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_0", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_1", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_2", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_3", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_4", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_5", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_6", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_7", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_8", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_9", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_10", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_11", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("total_12", models.PositiveBigIntegerField(db_default=0, default=0)),
                (
                    "api_key",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.apikey",
                    ),
                ),
                (
                    "credential",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.oauthcredential",
                    ),
                ),
            ],
            options={
                "verbose_name": "usage",
                "verbose_name_plural": "usage",
                "indexes": [models.Index(fields=["day"], name="usage_by_day")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("credential__isnull", False)),
                        fields=("hour", "api_key", "model", "credential", "status", "error_code"),
                        name="usage_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("credential__isnull", True)),
                        fields=("hour", "api_key", "model", "status", "error_code"),
                        name="usage_once_without_credential",
                    ),
                ],
            },
        ),
    ]

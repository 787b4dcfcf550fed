"""What several credentials need: order and weight, resets and probes, proxies, discovered facts, quota history, the pool."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_keep_logins_alive"),
    ]

    operations = [
        migrations.CreateModel(
            name="CredentialFacts",
            fields=[
                (
                    "credential",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="facts",
                        serialize=False,
                        to="accounts.oauthcredential",
                    ),
                ),
                ("document", models.JSONField(null=True)),
                ("problem", models.CharField(blank=True, max_length=500)),
                ("fetched_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "facts of a credential",
                "verbose_name_plural": "facts of credentials",
            },
        ),
        migrations.CreateModel(
            name="CredentialProxy",
            fields=[
                (
                    "credential",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="proxy",
                        serialize=False,
                        to="accounts.oauthcredential",
                    ),
                ),
                ("sealed", models.BinaryField()),
                ("shown", models.CharField(max_length=300)),
            ],
            options={
                "verbose_name": "proxy of a credential",
                "verbose_name_plural": "proxies of credentials",
            },
        ),
        migrations.CreateModel(
            name="Pool",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "policy",
                    models.CharField(
                        choices=[
                            ("fill_first", "the first in order"),
                            ("most_left", "the one with most quota left"),
                            ("round_robin", "each in turn"),
                            ("weights", "in turn, by weight"),
                        ],
                        default="fill_first",
                        help_text="A conversation stays with its credential: only that one can read what it has encrypted.",
                        max_length=16,
                        verbose_name="a new conversation begins on",
                    ),
                ),
                (
                    "moves_on_usage_limit",
                    models.BooleanField(
                        default=False,
                        help_text="Off: a request whose credential has met a limit is answered 429, though another credential may have room. On: it goes on with another. Moving between accounts to get round a usage limit may breach the provider’s terms; read them before you switch this on. Whether a failed credential is passed over does not depend on it.",
                        verbose_name="move on because of a usage limit",
                    ),
                ),
                ("cursor", models.PositiveBigIntegerField(default=0, editable=False)),
            ],
            options={
                "verbose_name": "pool of credentials",
                "verbose_name_plural": "pools of credentials",
            },
        ),
        migrations.AddField(
            model_name="apikey",
            name="credentials",
            field=models.ManyToManyField(
                blank=True,
                help_text="What it may call with; none chosen: any of its provider.",
                related_name="+",
                to="accounts.oauthcredential",
            ),
        ),
        migrations.AddField(
            model_name="oauthcredential",
            name="probe_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="oauthcredential",
            name="quota_polled_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="oauthcredential",
            name="rank",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="Its place in the pool: the lowest comes first. Equal ones by age."
            ),
        ),
        migrations.AddField(
            model_name="oauthcredential",
            name="resets_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="oauthcredential",
            name="weight",
            field=models.PositiveSmallIntegerField(
                db_default=1, default=1, help_text="Its share of new conversations under the policy of weights; 0 for none."
            ),
        ),
        migrations.CreateModel(
            name="QuotaSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("limit", models.CharField(max_length=64)),
                ("window", models.CharField(max_length=64)),
                ("slot", models.DateTimeField()),
                ("used_percent", models.FloatField()),
                ("resets_at", models.DateTimeField(null=True)),
                (
                    "credential",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="quota_samples", to="accounts.oauthcredential"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["slot"], name="quota_sample_by_slot")],
                "constraints": [
                    models.UniqueConstraint(fields=("credential", "limit", "window", "slot"), name="quota_sample_once_per_slot")
                ],
            },
        ),
    ]

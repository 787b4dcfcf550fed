"""What was asked to be purged, what rounds of clearing away removed, and the indexes that find what is past its time."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0012_retention"),
        ("responses_app", "0013_idempotent_requests"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="namedconversation",
            index=models.Index(fields=["deleted_at"], name="named_deleted", condition=models.Q(("deleted_at__isnull", False))),
        ),
        migrations.CreateModel(
            name="Collection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("removed", models.JSONField(default=dict)),
                ("finished", models.BooleanField(help_text="Nothing more was due when it ended.")),
            ],
            options={
                "ordering": ["-id"],
                "verbose_name": "round of clearing away",
                "verbose_name_plural": "storage",
            },
        ),
        migrations.CreateModel(
            name="Purge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("key", "everything of a key"),
                            ("conversation", "a conversation"),
                            ("end_user", "an end user"),
                        ],
                        max_length=16,
                        verbose_name="what",
                    ),
                ),
                ("conversation_number", models.BigIntegerField(null=True)),
                ("end_user_digest", models.BinaryField(max_length=32, null=True)),
                ("asked_at", models.DateTimeField()),
                ("asked_by", models.CharField(max_length=150)),
                ("asked_by_id", models.BigIntegerField(null=True)),
                ("foreseen", models.JSONField(default=dict)),
                ("removed", models.JSONField(default=dict)),
                (
                    "marked_at",
                    models.DateTimeField(help_text="From then on nobody could read or continue any of it.", null=True),
                ),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="snapshot",
            name="needed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="conversation",
            name="api_key",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="conversations", to="accounts.apikey"
            ),
        ),
        migrations.AlterField(
            model_name="snapshot",
            name="api_key",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="snapshots", to="accounts.apikey"
            ),
        ),
        migrations.AlterField(
            model_name="snapshot",
            name="last_used_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.AddIndex(
            model_name="snapshot",
            index=models.Index(fields=["api_key", "last_used_at"], name="snapshot_by_use"),
        ),
        migrations.AddIndex(
            model_name="snapshot",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", False), ("needed_at", None)),
                fields=["deleted_at"],
                name="snapshot_deleted",
            ),
        ),
        migrations.AddField(
            model_name="purge",
            name="api_key",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="purges", to="accounts.apikey"),
        ),
        migrations.AddField(
            model_name="conversation",
            name="purge",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="conversations",
                to="responses_app.purge",
            ),
        ),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(fields=["api_key", "last_used_at"], name="conversation_by_use"),
        ),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(condition=models.Q(("purge__isnull", False)), fields=["purge"], name="conversation_purged"),
        ),
        migrations.AddIndex(
            model_name="purge",
            index=models.Index(condition=models.Q(("finished_at", None)), fields=["asked_at"], name="purge_unfinished"),
        ),
    ]

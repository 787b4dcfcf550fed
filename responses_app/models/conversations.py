"""Lines of turns, and how a caller that states no id finds its own again."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey, OAuthCredential
from responses_app.models.keeping import Purge


class Conversation(models.Model):
    """A line of turns of one API key that a provider recognises as one; it hands out context windows.

    `generation` is the current window, `next_generation` the lowest number never handed out. `scope_digest` is a keyed hash of
    the scope's steps. `opaque_window` is the last window name a caller stated without continuing a snapshot. One with a `purge`
    is nobody's any more: its digest is no scope's, nothing is written in it, and what it held is being deleted.
    """

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="conversations", db_index=False)
    provider = models.CharField(max_length=64)
    scope = models.JSONField(default=list)
    scope_digest = models.BinaryField(max_length=32)
    note = models.JSONField(null=True)
    latest_note = models.JSONField(null=True)
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="conversations", db_index=False)
    generation = models.PositiveBigIntegerField(default=0)
    next_generation = models.PositiveBigIntegerField(default=1)
    opaque_window = models.CharField(max_length=256, null=True)  # noqa: DJ001 - None (never stated) is not ""
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now, db_index=True)
    purge = models.ForeignKey(Purge, models.PROTECT, null=True, db_index=False, related_name="conversations")

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["api_key", "last_used_at"], name="conversation_by_use"),
            models.Index(fields=["purge"], name="conversation_purged", condition=Q(purge__isnull=False)),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "provider", "scope_digest"], name="conversation_once_per_scope"),
        ]

    def __str__(self) -> str:
        return " › ".join(f"{step.get('kind')} …{str(step.get('id'))[-8:]}" for step in self.scope) or f"conversation {self.pk}"


class RecallKey(models.Model):
    """Finds the conversation of a caller that states no id, by a keyed hash of how its conversation begins."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+", db_index=False)
    provider = models.CharField(max_length=64)
    digest = models.BinaryField(max_length=32)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="recall_keys")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "provider", "digest"], name="recall_key_once"),
        ]

    def __str__(self) -> str:
        return f"recall key of conversation {self.conversation_id}"


class Keepsake(models.Model):
    """What an answer asked to be shown again, sealed: for its conversation under its credential, and nobody else."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="keepsakes", db_index=False)
    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=256)
    sealed = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "credential", "key"], name="keepsake_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"keepsake {self.pk}"

"""Settled turns: what a continuation continues."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey, OAuthCredential
from responses_app.models.content import Segment
from responses_app.models.conversations import Conversation
from responses_app.models.exchanges import Exchange


class BrokenSnapshot(Exception):
    """A stored snapshot cannot be read; says which."""


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    """Questions about snapshots."""

    def visible_to(self, api_key_id: int) -> SnapshotQuerySet:
        """Those that this key may name: its own, with content, not deleted nor purged."""
        return self.filter(api_key_id=api_key_id, stored=True, deleted_at=None, conversation__purge=None)


class Snapshot(models.Model):
    """A settled turn: what a continuation continues.

    `generation` is the window its continuation runs in; `continued_by` holds that window, for good where `continued_until`
    is null, else until then (the lease of a turn in flight). Without `stored` it is a routing record that no caller can name.
    `needed_at` is set on a deleted one that was found to be built upon: it stays, unknown, for as long as that does.
    """

    response_id = models.CharField(max_length=64, unique=True)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="snapshots", db_index=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="snapshots")
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="+", db_index=False)
    exchange = models.OneToOneField(Exchange, models.SET_NULL, null=True, related_name="snapshot")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children", db_index=False)
    segment = models.ForeignKey(Segment, models.PROTECT, related_name="snapshots")
    length = models.PositiveIntegerField()
    chain = models.BinaryField(max_length=32)
    generation = models.PositiveBigIntegerField()
    compaction = models.BooleanField(default=False)
    opaque_window = models.CharField(max_length=256, null=True)  # noqa: DJ001 - None (never stated) is not ""
    continued_by = models.ForeignKey(Exchange, models.SET_NULL, null=True, related_name="held_snapshots", db_index=False)
    continued_until = models.DateTimeField(null=True)
    model = models.CharField(max_length=128, blank=True)
    metadata_json = models.JSONField(default=dict, help_text="What the provider noted: ids, no content.")
    stored = models.BooleanField()
    answer = models.BinaryField(null=True, help_text="Sealed: the response as it was answered, less the items held anyway.")
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True)
    needed_at = models.DateTimeField(null=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["api_key", "last_used_at"], name="snapshot_by_use"),
            models.Index(fields=["deleted_at"], name="snapshot_deleted", condition=Q(deleted_at__isnull=False, needed_at=None)),
            models.Index(fields=["parent"], name="snapshot_children", condition=Q(parent__isnull=False)),
            models.Index(fields=["continued_by"], name="snapshot_held", condition=Q(continued_by__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.response_id

    def metadata(self) -> dict[str, Any]:
        """What the provider noted.

        :raises BrokenSnapshot: the row holds no JSON object.
        """
        if not isinstance(self.metadata_json, dict):
            raise BrokenSnapshot(f"snapshot {self.pk}: metadata_json is no JSON object")
        return self.metadata_json

"""Conversations that callers name by an id of ours."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey
from responses_app.models.snapshots import Snapshot


class NamedConversation(models.Model):
    """An object of the Conversations API: what its `tip` has come to, then items that no turn has taken up yet.

    The tip's conversation is the line of turns that a provider recognises; this is the caller's handle on it. `sealed` holds
    the caller's metadata and the items that wait.
    """

    public_id = models.CharField(max_length=64, unique=True)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="named_conversations", db_index=False)
    tip = models.ForeignKey(Snapshot, models.RESTRICT, related_name="+")
    sealed = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now, db_index=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["api_key", "-created_at"], name="named_by_key"),
            models.Index(fields=["deleted_at"], name="named_deleted", condition=Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.public_id

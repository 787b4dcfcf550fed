"""Responses that are made in the background, and the events that tell of them while they are."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import ApiKey


class BackgroundResponseQuerySet(models.QuerySet["BackgroundResponse"]):
    """Questions about background responses."""

    def live(self) -> BackgroundResponseQuerySet:
        """Those that somebody works on, or shall, as far as their rows say."""
        return self.filter(status__in=BackgroundResponse.LIVE)

    def running(self) -> BackgroundResponseQuerySet:
        """Live ones whose process keeps its lease."""
        return self.live().filter(lease_until__gte=Now())

    def lost(self) -> BackgroundResponseQuerySet:
        """Live ones whose process let the lease run out."""
        return self.live().filter(lease_until__lt=Now())


class BackgroundResponse(models.Model):
    """A response that its caller doesn't wait for.

    `lease_until` is its process's, on the database's clock: once it has run out, the response has failed, and nobody makes it
    anew. `sealed` holds the object and the request's own input; once the snapshot tells both, it is empty.
    """

    class Status(models.TextChoices):
        """How it stands; the words are the public API's."""

        QUEUED = "queued"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        INCOMPLETE = "incomplete"
        FAILED = "failed"
        CANCELLED = "cancelled"

    LIVE = (Status.QUEUED, Status.IN_PROGRESS)

    response_id = models.CharField(max_length=64, unique=True)
    request_id = models.CharField(max_length=64)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="background_responses")
    continued = models.ForeignKey("Snapshot", models.SET_NULL, null=True, related_name="+")
    status = models.CharField(max_length=16, choices=Status, default=Status.QUEUED)
    sealed = models.BinaryField()
    dropped = models.JSONField(default=list, help_text="Parameters that the upstream did not take.")
    lease_until = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    objects = BackgroundResponseQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["api_key"], name="background_live", condition=Q(status__in=["queued", "in_progress"])),
            models.Index(fields=["ended_at"], name="background_by_end"),
        ]

    def __str__(self) -> str:
        return self.response_id


class EventBatch(models.Model):
    """Some consecutive events of a background response, sealed: numbers `first` to `last`, as frames one after the other."""

    response = models.ForeignKey(BackgroundResponse, models.CASCADE, related_name="batches", db_index=False)
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    sealed = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["response", "first"], name="batch_once_per_number"),
        ]

    def __str__(self) -> str:
        return f"{self.response_id}: {self.first}-{self.last}"

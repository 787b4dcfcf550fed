"""Items and the segments that say in which order they stand."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey, OAuthCredential
from responses_app.models.conversations import Conversation


class Segment(models.Model):
    """A run of item positions. `parent_length` says how far into `parent` it begins; `length` counts from the very start."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="segments")
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="forks", db_index=False)
    parent_length = models.PositiveIntegerField(default=0)
    length = models.PositiveIntegerField(default=0)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["parent"], name="segment_forks", condition=Q(parent__isnull=False))]

    def __str__(self) -> str:
        return f"segment {self.pk}, {self.length} items"


class Item(models.Model):
    """One item of a conversation, sealed; equal items of a conversation stand once.

    `credential` is who issued it where only the issuer can read its encrypted part.
    """

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="items", db_index=False)
    digest = models.BinaryField(max_length=32)
    sealed = models.BinaryField()
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "digest"], name="item_once_per_conversation"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["credential"], name="item_by_issuer", condition=Q(credential__isnull=False)),
        ]
        permissions: ClassVar = [("view_content", "Can read what was asked and answered")]

    def __str__(self) -> str:
        return f"item {self.pk}"


class SegmentEntry(models.Model):
    """Which item stands at a position of a segment. `chain` is a keyed hash of everything up to and including it.

    `item` is null where the caller asked that nothing be stored: the chain alone still tells what was sent before.
    """

    segment = models.ForeignKey(Segment, models.CASCADE, related_name="entries", db_index=False)
    position = models.PositiveIntegerField()
    chain = models.BinaryField(max_length=32)
    item = models.ForeignKey(Item, models.PROTECT, null=True, related_name="entries", db_index=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["segment", "position"], name="entry_once_per_position"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["chain"], name="entry_by_chain"),
            models.Index(fields=["item"], name="entry_by_item", condition=Q(item__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.segment_id}:{self.position}"


class Provenance(models.Model):
    """Which credential issued a piece of ciphertext, by its keyed hash, whether or not its item is stored."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+", db_index=False)
    digest = models.BinaryField(max_length=32)
    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "digest"], name="provenance_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"provenance {self.pk}"

"""What was asked to be purged, and what the rounds of clearing away removed."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import ApiKey


class Purge(models.Model):
    """An operator's order to delete a key's, a conversation's or an end user's content, and how far it has come.

    `foreseen` is what its page said would be lost, `removed` what is gone. Who asked is copied: the row outlives the person.
    """

    class Kind(models.TextChoices):
        """Whose content."""

        KEY = "key", "everything of a key"
        CONVERSATION = "conversation", "a conversation"
        END_USER = "end_user", "an end user"

    kind = models.CharField("what", max_length=16, choices=Kind)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="purges")
    conversation_number = models.BigIntegerField(null=True)
    end_user_digest = models.BinaryField(max_length=32, null=True)
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=150)
    asked_by_id = models.BigIntegerField(null=True)
    foreseen = models.JSONField(default=dict)
    removed = models.JSONField(default=dict)
    marked_at = models.DateTimeField(null=True, help_text="From then on nobody could read or continue any of it.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["asked_at"], name="purge_unfinished", condition=Q(finished_at=None))]

    def __str__(self) -> str:
        named = {self.Kind.CONVERSATION: f"conversation {self.conversation_number}", self.Kind.END_USER: "an end user"}
        return f"purge {self.pk}: {named.get(self.Kind(self.kind), 'everything')} of {self.api_key}"


class Collection(models.Model):
    """One round of clearing away what is past its time that found something."""

    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    removed = models.JSONField(default=dict)
    finished = models.BooleanField(help_text="Nothing more was due when it ended.")

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "round of clearing away"
        verbose_name_plural = "storage"

    def __str__(self) -> str:
        return f"round {self.pk}"

    @property
    def took_ms(self) -> int:
        """How long it took, in milliseconds."""
        return (self.ended_at - self.began_at) // timedelta(milliseconds=1)

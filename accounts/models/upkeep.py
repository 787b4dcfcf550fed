"""What keeps the house: the maintenance lease, notices to send, witnesses of the right secrets, the mark of changes."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models.credentials import OAuthCredential


class Upkeep(models.Model):
    """Who runs the maintenance loop, under a lease on the database's clock, and when it last came round. One row."""

    name = models.CharField(max_length=32, primary_key=True, default="loop")
    holder = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    ran_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "upkeep"

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """Something to tell the operator by one channel: an outbox row, written once and sent by whoever has claimed it.

    `since` is when the login died; it makes the notice of one death, and that of its recovery, unique.
    """

    class Event(models.TextChoices):
        """What happened."""

        DIED = "credential.needs_sign_in", "a login died"
        RECOVERED = "credential.recovered", "it is back"

    class Channel(models.TextChoices):
        """How it is told."""

        WEBHOOK = "webhook", "webhook"
        EMAIL = "email", "e-mail"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="notices")
    event = models.CharField(max_length=64, choices=Event)
    channel = models.CharField(max_length=16, choices=Channel)
    since = models.DateTimeField()
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["credential", "event", "channel", "since"], name="notice_once"),
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.channel}"


class KeyWitness(models.Model):
    """Tells the right secrets from wrong ones: something sealed under one encryption key, or a hash under the lookup key."""

    name = models.CharField(max_length=80, primary_key=True)
    value = models.BinaryField()

    class Meta:
        verbose_name = "key witness"
        verbose_name_plural = "key witnesses"

    def __str__(self) -> str:
        return self.name


class EditionMark(models.Model):
    """One row whose mark the database changes with every row that tells who may call and with what: by triggers, see 0014."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    mark = models.CharField(max_length=64)

    class Meta:
        verbose_name = "mark of changes"
        verbose_name_plural = "marks of changes"

    def __str__(self) -> str:
        return self.mark

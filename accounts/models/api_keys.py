"""Who calls, and with which secret."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Value

from accounts.models.credentials import OAuthCredential


class ApiKey(models.Model):
    """Who calls. Conversations and responses belong to it; its secret is a row apart, so that it can be rotated."""

    name = models.CharField(max_length=100)
    provider = models.CharField(max_length=64)
    enabled = models.BooleanField(default=True)
    strict = models.BooleanField(
        default=False, help_text="Answer 400 instead of leaving out a parameter that the upstream does not take."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    credentials = models.ManyToManyField(
        OAuthCredential, blank=True, related_name="+", help_text="What it may call with; none chosen: any of its provider."
    )
    allowed_models = models.JSONField(default=list, db_default=Value([], models.JSONField()), blank=True)
    max_in_flight = models.PositiveIntegerField(
        "requests at once",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many may be in flight at a time; empty for any number. One more is answered 429.",
    )
    has_budgets = models.BooleanField(default=False, db_default=False, editable=False)
    capture_until = models.DateTimeField(
        "capture payloads until",
        null=True,
        blank=True,
        help_text="Until then each request is kept whole, sealed.",
    )
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Days that a conversation is kept after its last turn; empty for the gateway's default.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    presented: ApiKeySecret | None = None
    """The secret that this request brought; no column."""
    mark: str | None = None
    """That of what was read before and may be used for its request; no column."""

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name

    def may_call(self, now: datetime) -> bool:
        """Enabled, and not expired at `now`."""
        return self.enabled and (self.expires_at is None or self.expires_at > now)

    def may_use(self, model: str) -> bool:
        """Is the model among those that it may ask for?"""
        return not self.allowed_models or model in self.allowed_models

    def captures(self, now: datetime) -> bool:
        """Are its requests kept whole at `now`?"""
        return self.capture_until is not None and self.capture_until > now


class ApiKeySecret(models.Model):
    """One secret of a key: a keyed hash, and as much of it as helps a person to tell it from others."""

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="secrets")
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(
        null=True, help_text="Set when it was rotated out; until then it works beside the new one."
    )
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "API key secret"

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def opens(self, now: datetime) -> bool:
        """Does it still open its key at `now`?"""
        return self.expires_at is None or self.expires_at > now

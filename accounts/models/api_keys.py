"""Who calls, and with which secret."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models

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
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name

    def may_call(self, now: datetime) -> bool:
        """Enabled, and not expired at `now`."""
        return self.enabled and (self.expires_at is None or self.expires_at > now)


class ApiKeySecret(models.Model):
    """One secret of a key: a keyed hash, and as much of it as helps a person to tell it from others."""

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="secrets")
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API key secret"

    def __str__(self) -> str:
        return f"{self.prefix}…"

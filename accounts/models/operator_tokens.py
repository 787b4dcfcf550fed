"""Operators' programs: their tokens, and how fast they may go."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models


class OperatorToken(models.Model):
    """Lets a program act as a person, with that person's permissions and no others. Only a keyed hash of it is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="operator_tokens", verbose_name="acts as")
    name = models.CharField(max_length=100, help_text="What it is for.")
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.BinaryField(max_length=32, unique=True)
    read_only = models.BooleanField(default=True, help_text="It sees what the person sees and changes nothing.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "operator's token"
        verbose_name_plural = "operators' tokens"

    def __str__(self) -> str:
        return self.name

    def opens(self, now: datetime) -> bool:
        """Is it good at `now`?"""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class OperatorPace(models.Model):
    """How many requests of one person's programs and browsers came in a minute, over all processes."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    minute = models.DateTimeField()
    requests = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.requests} requests"

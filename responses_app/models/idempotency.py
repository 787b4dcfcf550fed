"""Requests that their callers named, so as not to make them twice."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import ApiKey


class IdempotentRequest(models.Model):
    """Which response a caller's `Idempotency-Key` stands for. Both digests are keyed: neither the name nor the body is kept."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+", db_index=False)
    digest = models.BinaryField(max_length=32)
    body_digest = models.BinaryField(max_length=32)
    response_id = models.CharField(max_length=64)
    taken_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "digest"], name="idempotent_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"idempotent request {self.pk}"

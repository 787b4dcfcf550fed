"""Sign-ins that somebody has begun."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from accounts.models.credentials import OAuthCredential


class PendingSignIn(models.Model):
    """A sign-in that somebody has begun: theirs alone, in the session they began it in, for minutes, and for one use.

    `session_digest` is a keyed hash of that session's key; `sealed` holds the link, the code and what the provider keeps.
    `used_at` is set by whoever finishes it, before the provider is asked; then one of the last three says what came of it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.CharField(max_length=64)
    method = models.CharField(max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    session_digest = models.BinaryField(max_length=32)
    credential = models.ForeignKey(OAuthCredential, models.CASCADE, null=True, related_name="+")
    sealed = models.BinaryField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    outcome = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="+")
    refusal = models.CharField(max_length=600, blank=True)
    another_login = models.CharField(max_length=254, blank=True)

    class Meta:
        verbose_name = "pending sign-in"

    def __str__(self) -> str:
        return f"sign-in {self.pk}"

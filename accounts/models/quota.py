"""What credentials have left, now and over time, and how they share the work."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models.credentials import OAuthCredential


class Pool(models.Model):
    """How the credentials of a provider share the work; `cursor` counts the conversations dealt out in turn."""

    class Policy(models.TextChoices):
        """Which credential a new conversation begins on."""

        FILL_FIRST = "fill_first", "the first in order"
        MOST_LEFT = "most_left", "the one with most quota left"
        ROUND_ROBIN = "round_robin", "each in turn"
        WEIGHTS = "weights", "in turn, by weight"

    provider = models.CharField(max_length=64, unique=True, editable=False)
    policy = models.CharField(
        max_length=16,
        choices=Policy,
        default=Policy.FILL_FIRST,
        verbose_name="a new conversation begins on",
        help_text="A conversation stays with its credential: only that one can read what it has encrypted.",
    )
    moves_on_usage_limit = models.BooleanField(
        default=False,
        verbose_name="move on because of a usage limit",
        help_text="Off: a request whose credential has met a limit is answered 429, though another credential may have room. "
        "On: it goes on with another. Moving between accounts to get round a usage limit may breach the provider’s terms; "
        "read them before you switch this on. Whether a failed credential is passed over does not depend on it.",
    )
    cursor = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = "pool of credentials"
        verbose_name_plural = "pools of credentials"

    def __str__(self) -> str:
        return f"pool of {self.provider}"


class Allowance(models.Model):
    """How much of one of a credential's allowances is used."""

    limit = models.CharField(max_length=64)
    window = models.CharField(max_length=64)
    used_percent = models.FloatField()
    resets_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class QuotaSample(Allowance):
    """One allowance as it stood in a quarter of an hour: the last reading in it."""

    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="quota_samples")
    slot = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["credential", "limit", "window", "slot"], name="quota_sample_once_per_slot"),
        ]
        indexes: ClassVar = [models.Index(fields=["slot"], name="quota_sample_by_slot")]

    def __str__(self) -> str:
        return f"{self.limit} {self.window} at {self.slot:%Y-%m-%d %H:%M}: {self.used_percent:.0f} %"


class QuotaReading(Allowance):
    """One allowance of a credential as an answer last told it."""

    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="quota")
    minutes = models.PositiveIntegerField(null=True)
    observed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["credential", "limit", "window"], name="quota_once_per_window"),
        ]
        ordering: ClassVar = ["credential", "limit", "window"]

    def __str__(self) -> str:
        return f"{self.limit} {self.window}: {self.used_percent:.0f} %"

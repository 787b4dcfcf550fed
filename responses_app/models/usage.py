"""Ended exchanges summed up by the hour, how far that has come, and what a model's tokens cost elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from accounts.models import ApiKey, OAuthCredential
from responses_app.models.exchanges import Exchange

BOUNDS_MS = (250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000, 120_000, 300_000, 900_000)
"""Upper ends of the histograms' buckets; one more bucket holds what took longer."""
EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The hour that stands for all of them: its rows are never begun anew."""
SUMMED = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "first_ms", "total_ms")
FIRST = tuple(f"first_{number}" for number in range(len(BOUNDS_MS) + 1))
TOTAL = tuple(f"total_{number}" for number in range(len(BOUNDS_MS) + 1))


class UsageHour(models.Model):
    """What ended in an hour (UTC) for one key, model, credential and outcome. Its key and credential may be gone.

    `first_N` and `total_N` say how many first bytes and ends came within `BOUNDS_MS[N]` and not sooner.
    """

    hour = models.DateTimeField()
    day = models.DateField()
    api_key = models.ForeignKey(ApiKey, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    credential = models.ForeignKey(
        OAuthCredential, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    model = models.CharField(max_length=128, blank=True)
    status = models.CharField(max_length=16, choices=Exchange.Status)
    error_code = models.CharField(max_length=128, blank=True)
    requests = models.PositiveBigIntegerField(default=0, db_default=0)
    input_tokens = models.PositiveBigIntegerField(default=0, db_default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0, db_default=0)
    output_tokens = models.PositiveBigIntegerField(default=0, db_default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0, db_default=0)
    first_ms = models.PositiveBigIntegerField(default=0, db_default=0)
    total_ms = models.PositiveBigIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name = "usage"
        verbose_name_plural = "usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["hour", "api_key", "model", "credential", "status", "error_code"],
                condition=Q(credential__isnull=False),
                name="usage_once",
            ),
            models.UniqueConstraint(
                fields=["hour", "api_key", "model", "status", "error_code"],
                condition=Q(credential__isnull=True),
                name="usage_once_without_credential",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["day"], name="usage_by_day")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}:00, key {self.api_key_id}"


# One column a bucket, so that the database adds them up.
for _name in (*FIRST, *TOTAL):
    models.PositiveBigIntegerField(default=0, db_default=0).contribute_to_class(UsageHour, _name)


class UsageMark(models.Model):
    """How far the exchanges are counted, by their numbers. One row; whoever moves it raises `version`.

    Numbers up to `safe_to` belong to rows that can be seen, or to none. `seen_to` will be safe when none of the
    transactions `seen_writers` goes on.
    """

    name = models.CharField(max_length=16, primary_key=True, default="usage")
    counted_to = models.PositiveBigIntegerField(default=0)
    safe_to = models.PositiveBigIntegerField(default=0)
    seen_to = models.PositiveBigIntegerField(default=0)
    seen_writers = models.JSONField(default=list)
    version = models.PositiveBigIntegerField(default=0)
    moved_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"counted to {self.counted_to}"


class UsageLate(models.Model):
    """An exchange that was still in flight when the mark went by; counted when it has ended."""

    exchange = models.OneToOneField(Exchange, models.CASCADE, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return f"exchange {self.exchange_id}"


class ModelPrice(models.Model):
    """What a million tokens of a model cost where they are sold by the token, from a day on."""

    model = models.CharField(max_length=128, help_text="As callers name it, to the letter.")
    effective_from = models.DateField("from", help_text="Usage of this day (UTC) and later is priced so, until a later price.")
    input = models.DecimalField("input", max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    cached = models.DecimalField("cached input", max_digits=12, decimal_places=6, validators=[MinValueValidator(Decimal(0))])
    output = models.DecimalField(
        "output",
        max_digits=12,
        decimal_places=6,
        validators=[MinValueValidator(Decimal(0))],
        help_text="Reasoning included. All three in US dollars per million tokens.",
    )
    source = models.CharField(max_length=400, help_text="Where it stands: a page's address.")
    read_on = models.DateField("read on", help_text="When it stood there.")

    class Meta:
        ordering: ClassVar = ["model", F("effective_from").desc()]
        verbose_name = "price of a model"
        verbose_name_plural = "prices of models"
        constraints: ClassVar = [models.UniqueConstraint(fields=["model", "effective_from"], name="price_once_a_day")]

    def __str__(self) -> str:
        return f"{self.model} from {self.effective_from}"

"""How much of a key's requests and tokens one stretch of the calendar may see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models

from accounts.models.api_keys import ApiKey


class KeyBudget(models.Model):
    """So many requests or tokens of a key in each minute, hour, day or month (UTC), and how many the latest one saw.

    A budget of tokens admits while any are left, because what a request takes is known at its end.
    """

    class Kind(models.TextChoices):
        """What is counted."""

        REQUESTS = "requests", "requests"
        TOKENS = "tokens", "tokens, in and out"

    class Window(models.TextChoices):
        """Over how long. Windows begin with the calendar's, in UTC."""

        MINUTE = "minute", "minute"
        HOUR = "hour", "hour"
        DAY = "day", "day"
        MONTH = "month", "month"

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="budgets")
    kind = models.CharField("of", max_length=16, choices=Kind)
    amount = models.PositiveBigIntegerField("at most", validators=[MinValueValidator(1)])
    window = models.CharField("in each", max_length=16, choices=Window)
    used = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    began_at = models.DateTimeField(null=True, editable=False, help_text="The window that `used` counts in.")

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = "budget"
        constraints: ClassVar = [models.UniqueConstraint(fields=["key", "kind", "window"], name="budget_once_per_window")]

    def __str__(self) -> str:
        return f"{self.amount} {self.kind} per {self.window}"

    def current(self, now: datetime) -> datetime:
        """When the window of `now` began; a later one that has begun is not gone back from, unless a clock was wrong."""
        begins = _beginning(self.Window(self.window), now)
        latest = _end(self.Window(self.window), begins) + _LATE
        return self.began_at if self.began_at is not None and begins < self.began_at <= latest else begins

    def used_at(self, now: datetime) -> int:
        """How much of it is used in the window of `now`."""
        return self.used if self.began_at == self.current(now) else 0

    def left_at(self, now: datetime) -> int:
        """How much of it is left in the window of `now`."""
        return max(0, self.amount - self.used_at(now))

    def resets_at(self, now: datetime) -> datetime:
        """When the window after that of `now` begins."""
        return _end(self.Window(self.window), self.current(now))

    def take(self, number: int, now: datetime) -> None:
        """Count `number` more; the caller holds the row's lock and saves `used` and `began_at`."""
        self.used, self.began_at = self.used_at(now) + number, self.current(now)


_LENGTHS = {
    KeyBudget.Window.MINUTE: timedelta(minutes=1),
    KeyBudget.Window.HOUR: timedelta(hours=1),
    KeyBudget.Window.DAY: timedelta(days=1),
}
_LATE = timedelta(minutes=10)
"""What a count may come late, by a late write or by the clocks of two hosts."""
_LONGER_THAN_A_MONTH = timedelta(days=32)


def _beginning(window: KeyBudget.Window, moment: datetime) -> datetime:
    utc = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if window == KeyBudget.Window.MINUTE:
        return utc
    if window == KeyBudget.Window.HOUR:
        return utc.replace(minute=0)
    day = utc.replace(minute=0, hour=0)
    return day if window == KeyBudget.Window.DAY else day.replace(day=1)


def _end(window: KeyBudget.Window, begins: datetime) -> datetime:
    if window == KeyBudget.Window.MONTH:
        return (begins + _LONGER_THAN_A_MONTH).replace(day=1)
    return begins + _LENGTHS[window]

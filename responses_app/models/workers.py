"""Processes that serve turns, as they say themselves that they live."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import ExpressionWrapper
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

UNSEEN = timedelta(seconds=30)
"""A process that has said nothing for so long is taken for dead; it speaks six times in that."""


def ago(span: timedelta) -> ExpressionWrapper[CombinedExpression]:
    """So long before now, on the database's clock."""
    return ExpressionWrapper(Now() - span, output_field=models.DateTimeField())


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Questions about serving processes."""

    def living(self) -> WorkerQuerySet:
        """Those that were heard of lately."""
        return self.filter(seen_at__gte=ago(UNSEEN))

    def dead(self) -> WorkerQuerySet:
        """Those that were not."""
        return self.filter(seen_at__lt=ago(UNSEEN))


class Worker(models.Model):
    """One serving process. Its moments are on the database's clock; a clean end removes the row."""

    host = models.CharField(max_length=255)
    pid = models.PositiveBigIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False, help_text="It takes no new connections and ends when its turns have.")

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["host", "pid"]

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"

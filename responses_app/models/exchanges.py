"""One request of a caller's, from its acceptance to its end; and what was captured of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q

from accounts.models import ApiKey, OAuthCredential
from responses_app.models.conversations import Conversation
from responses_app.models.workers import Worker, ago

_OVERDUE = timedelta(seconds=60)
"""What a turn gets beyond its deadline to be written."""


class ExchangeQuerySet(models.QuerySet["Exchange"]):
    """Questions about exchanges."""

    def in_flight(self) -> ExchangeQuerySet:
        """Those that have not ended, as far as their rows say."""
        return self.filter(status=Exchange.Status.IN_FLIGHT)

    def running(self) -> ExchangeQuerySet:
        """Those in flight that somebody serves: their process lives, and they are not long past their deadline."""
        return self.in_flight().exclude(_is_lost())

    def lost(self) -> ExchangeQuerySet:
        """Those in flight that nobody serves any more."""
        return self.in_flight().filter(_is_lost())


def _is_lost() -> Q:
    """A row that names no process (written by an older version, or by none) is judged by its deadline alone."""
    orphaned = Q(worker__isnull=False) & ~Exists(Worker.objects.living().filter(pk=OuterRef("worker_id")))
    return orphaned | Q(deadline_at__lt=ago(_OVERDUE))


class Exchange(models.Model):
    """One request of a caller's, from its acceptance to its end."""

    class Status(models.TextChoices):
        """How it stands, or how it ended."""

        IN_FLIGHT = "in_flight", "in flight"
        COMPLETED = "completed", "completed"
        INCOMPLETE = "incomplete", "incomplete"
        FAILED = "failed", "failed"
        REFUSED = "refused", "refused"

    class EndedBy(models.TextChoices):
        """Who ended it."""

        UPSTREAM = "upstream", "upstream, with a terminal event"
        UPSTREAM_CUT = "upstream_cut", "upstream, cut before a terminal event"
        CALLER = "caller", "caller left"
        UNDELIVERED = "undelivered", "completed, caller left before the end was delivered"
        IDLE = "idle", "gateway, upstream silent too long"
        DEADLINE = "deadline", "gateway, at its deadline"
        REFUSED = "upstream_refused", "upstream, with a refusal"
        UNREACHED = "unreached", "no answer from the upstream"
        GATEWAY = "gateway", "gateway"
        LOST = "lost", "lost: its process died"

    request_id = models.CharField(max_length=64, unique=True)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="exchanges", db_index=False)
    provider = models.CharField(max_length=64)
    action = models.CharField(max_length=16)
    model = models.CharField(max_length=128, blank=True)
    streamed = models.BooleanField(default=False)
    stored = models.BooleanField(default=False)
    conversation = models.ForeignKey(Conversation, models.SET_NULL, null=True, related_name="exchanges", db_index=False)
    continued = models.ForeignKey("Snapshot", models.SET_NULL, null=True, related_name="continuations", db_index=False)
    generation = models.PositiveBigIntegerField(null=True)
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="exchanges", db_index=False)
    # History keeps the number of a process whose row is gone: emptying it would rewrite all that the process ever served.
    worker = models.ForeignKey(
        Worker, models.DO_NOTHING, null=True, related_name="exchanges", db_constraint=False, db_index=False
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.IN_FLIGHT)
    ended_by = models.CharField(max_length=16, choices=EndedBy, blank=True)
    last_event = models.CharField(max_length=64, blank=True)
    response_id = models.CharField(max_length=64, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    error_code = models.CharField(max_length=128, blank=True)
    error_message = models.CharField(max_length=1000, blank=True)
    operator_note = models.CharField(max_length=1000, blank=True)
    dispatches = models.PositiveSmallIntegerField(default=0)
    attempts = models.JSONField(default=list, null=True, help_text="Each time it was sent: with what, what came, how long.")
    identity = models.JSONField(default=list)
    changes = models.JSONField(default=list)
    upstream_ids = models.JSONField(default=dict)
    input_items = models.PositiveIntegerField(null=True, help_text="Of the whole input, what was continued included.")
    known_items = models.PositiveIntegerField(null=True, help_text="How many leading ones the conversation already had.")
    preamble = models.JSONField(null=True, help_text="Keyed hashes of what stands before the items.")
    input_tokens = models.PositiveBigIntegerField(null=True)
    cached_tokens = models.PositiveBigIntegerField(null=True)
    output_tokens = models.PositiveBigIntegerField(null=True)
    reasoning_tokens = models.PositiveBigIntegerField(null=True)
    end_user_digest = models.BinaryField(max_length=32, null=True, help_text="Of the request's `safety_identifier`.")
    user_digest = models.BinaryField(max_length=32, null=True, help_text="Of the request's `user`.")
    started_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    first_byte_ms = models.PositiveIntegerField(null=True, help_text="From acceptance to the first byte of output.")
    total_ms = models.PositiveIntegerField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = ExchangeQuerySet.as_manager()

    recorded: Sequence[Any] | None = None
    """Its columns as the claim wrote them, where this process made the claim: its end writes what differs."""

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-started_at"], name="exchange_by_start"),
            models.Index(fields=["api_key", "-started_at"], name="exchange_by_key"),
            models.Index(fields=["response_id"], name="exchange_by_response"),
            models.Index(fields=["api_key", "worker"], name="exchange_in_flight", condition=Q(status="in_flight")),
            models.Index(fields=["end_user_digest"], condition=Q(end_user_digest__isnull=False), name="exchange_by_end_user"),
            models.Index(fields=["user_digest"], condition=Q(user_digest__isnull=False), name="exchange_by_user"),
            models.Index(fields=["conversation", "-started_at"], name="exchange_by_conversation"),
            models.Index(fields=["continued"], name="exchange_continued", condition=Q(continued__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.request_id

    @property
    def ended_at(self) -> datetime:
        """When it ended; when it began, where that is all that is known."""
        return self.finished_at or self.started_at


class Payload(models.Model):
    """What an exchange consisted of, sealed, for a key that captures: each part cut where it is too long."""

    exchange = models.OneToOneField(Exchange, models.CASCADE, primary_key=True, related_name="payload")
    sealed = models.BinaryField()
    captured_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"payload of exchange {self.exchange_id}"

"""What was asked and answered: conversations, snapshots with their items, and one exchange per request.

How content is laid out. A conversation's items stand once in `Item`, sealed. A `Segment` is a run of positions pointing at
items; it grows at its end and may begin where another segment has come to. A `Snapshot` is (segment, length): the items of
its segment's ancestors up to where each was left, then its own up to `length`. Going on from the newest snapshot appends to
its segment; going on from any older one opens a new segment there. So a turn writes what it adds, whatever its history.
`chain` is a keyed hash over all items up to a point: a caller that sends its history anew is recognised by it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import ApiKey, OAuthCredential


class Conversation(models.Model):
    """A line of turns of one API key that a provider recognises as one; it hands out context windows.

    `generation` is the current window, `next_generation` the lowest number never handed out. `scope_digest` is a keyed hash of
    the scope's steps. `opaque_window` is the last window name a caller stated without continuing a snapshot.
    """

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="conversations")
    provider = models.CharField(max_length=64)
    scope = models.JSONField(default=list)
    scope_digest = models.BinaryField(max_length=32)
    note = models.JSONField(null=True)
    latest_note = models.JSONField(null=True)
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="conversations")
    generation = models.PositiveBigIntegerField(default=0)
    next_generation = models.PositiveBigIntegerField(default=1)
    opaque_window = models.CharField(max_length=256, null=True)  # noqa: DJ001 - None (never stated) is not ""
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "provider", "scope_digest"], name="conversation_once_per_scope"),
        ]

    def __str__(self) -> str:
        return " › ".join(f"{step.get('kind')} …{str(step.get('id'))[-8:]}" for step in self.scope) or f"conversation {self.pk}"


class RecallKey(models.Model):
    """Finds the conversation of a caller that states no id, by a keyed hash of how its conversation begins."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+")
    provider = models.CharField(max_length=64)
    digest = models.BinaryField(max_length=32)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="recall_keys")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "provider", "digest"], name="recall_key_once"),
        ]

    def __str__(self) -> str:
        return f"recall key of conversation {self.conversation_id}"


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
        GATEWAY = "gateway", "gateway"

    request_id = models.CharField(max_length=64, unique=True)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="exchanges")
    provider = models.CharField(max_length=64)
    action = models.CharField(max_length=16)
    model = models.CharField(max_length=128, blank=True)
    streamed = models.BooleanField(default=False)
    stored = models.BooleanField(default=False)
    conversation = models.ForeignKey(Conversation, models.SET_NULL, null=True, related_name="exchanges")
    continued = models.ForeignKey("Snapshot", models.SET_NULL, null=True, related_name="continuations")
    generation = models.PositiveBigIntegerField(null=True)
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="exchanges")
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
    input_tokens = models.PositiveBigIntegerField(null=True)
    cached_tokens = models.PositiveBigIntegerField(null=True)
    output_tokens = models.PositiveBigIntegerField(null=True)
    reasoning_tokens = models.PositiveBigIntegerField(null=True)
    started_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    first_byte_ms = models.PositiveIntegerField(null=True, help_text="From acceptance to the first byte of output.")
    total_ms = models.PositiveIntegerField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-started_at"], name="exchange_by_start"),
            models.Index(fields=["api_key", "-started_at"], name="exchange_by_key"),
            models.Index(fields=["response_id"], name="exchange_by_response"),
        ]

    def __str__(self) -> str:
        return self.request_id


class Segment(models.Model):
    """A run of item positions. `parent_length` says how far into `parent` it begins; `length` counts from the very start."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="segments")
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="forks")
    parent_length = models.PositiveIntegerField(default=0)
    length = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"segment {self.pk}, {self.length} items"


class Item(models.Model):
    """One item of a conversation, sealed; equal items of a conversation stand once.

    `credential` is who issued it where only the issuer can read its encrypted part.
    """

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="items")
    digest = models.BinaryField(max_length=32)
    sealed = models.BinaryField()
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "digest"], name="item_once_per_conversation"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk}"


class SegmentEntry(models.Model):
    """Which item stands at a position of a segment. `chain` is a keyed hash of everything up to and including it.

    `item` is null where the caller asked that nothing be stored: the chain alone still tells what was sent before.
    """

    segment = models.ForeignKey(Segment, models.CASCADE, related_name="entries")
    position = models.PositiveIntegerField()
    chain = models.BinaryField(max_length=32)
    item = models.ForeignKey(Item, models.PROTECT, null=True, related_name="entries")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["segment", "position"], name="entry_once_per_position"),
        ]
        indexes: ClassVar = [models.Index(fields=["chain"], name="entry_by_chain")]

    def __str__(self) -> str:
        return f"{self.segment_id}:{self.position}"


class BrokenSnapshot(Exception):
    """A stored snapshot cannot be read; says which."""


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    """Questions about snapshots."""

    def visible_to(self, api_key_id: int) -> SnapshotQuerySet:
        """Those that this key may name: its own, with content, not deleted."""
        return self.filter(api_key_id=api_key_id, stored=True, deleted_at=None)


class Snapshot(models.Model):
    """A settled turn: what a continuation continues.

    `generation` is the window its continuation runs in; `continued_by` holds that window, for good where `continued_until`
    is null, else until then (the lease of a turn in flight). Without `stored` it is a routing record that no caller can name.
    """

    response_id = models.CharField(max_length=64, unique=True)
    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="snapshots")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="snapshots")
    credential = models.ForeignKey(OAuthCredential, models.SET_NULL, null=True, related_name="+")
    exchange = models.OneToOneField(Exchange, models.SET_NULL, null=True, related_name="snapshot")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")
    segment = models.ForeignKey(Segment, models.PROTECT, related_name="snapshots")
    length = models.PositiveIntegerField()
    chain = models.BinaryField(max_length=32)
    generation = models.PositiveBigIntegerField()
    compaction = models.BooleanField(default=False)
    opaque_window = models.CharField(max_length=256, null=True)  # noqa: DJ001 - None (never stated) is not ""
    continued_by = models.ForeignKey(Exchange, models.SET_NULL, null=True, related_name="held_snapshots")
    continued_until = models.DateTimeField(null=True)
    model = models.CharField(max_length=128, blank=True)
    metadata_json = models.JSONField(default=dict, help_text="What the provider noted: ids, no content.")
    stored = models.BooleanField()
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now, db_index=True)
    deleted_at = models.DateTimeField(null=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.response_id

    def metadata(self) -> dict[str, Any]:
        """What the provider noted.

        :raises BrokenSnapshot: the row holds no JSON object.
        """
        if not isinstance(self.metadata_json, dict):
            raise BrokenSnapshot(f"snapshot {self.pk}: metadata_json is no JSON object")
        return self.metadata_json


class Keepsake(models.Model):
    """What an answer asked to be shown again, sealed: for its conversation under its credential, and nobody else."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="keepsakes")
    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="+")
    key = models.CharField(max_length=256)
    sealed = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "credential", "key"], name="keepsake_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"keepsake {self.pk}"


class Provenance(models.Model):
    """Which credential issued a piece of ciphertext, by its keyed hash, whether or not its item is stored."""

    api_key = models.ForeignKey(ApiKey, models.CASCADE, related_name="+")
    digest = models.BinaryField(max_length=32)
    credential = models.ForeignKey(OAuthCredential, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["api_key", "digest"], name="provenance_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"provenance {self.pk}"

"""What was asked and answered: conversations, snapshots with their items, and one exchange per request.

How content is laid out. A conversation's items stand once in `Item`, sealed. A `Segment` is a run of positions pointing at
items; it grows at its end and may begin where another segment has come to. A `Snapshot` is (segment, length): the items of
its segment's ancestors up to where each was left, then its own up to `length`. Going on from the newest snapshot appends to
its segment; going on from any older one opens a new segment there. So a turn writes what it adds, whatever its history.
`chain` is a keyed hash over all items up to a point: a caller that sends its history anew is recognised by it.
"""

from responses_app.models.background import BackgroundResponse, EventBatch
from responses_app.models.content import Item, Provenance, Segment, SegmentEntry
from responses_app.models.conversations import Conversation, Keepsake, RecallKey
from responses_app.models.exchanges import Exchange, ExchangeQuerySet, Payload
from responses_app.models.idempotency import IdempotentRequest
from responses_app.models.keeping import Collection, Purge
from responses_app.models.named import NamedConversation
from responses_app.models.snapshots import BrokenSnapshot, Snapshot, SnapshotQuerySet
from responses_app.models.usage import ModelPrice, UsageHour, UsageLate, UsageMark
from responses_app.models.workers import Worker, WorkerQuerySet

__all__ = [
    "BackgroundResponse",
    "BrokenSnapshot",
    "Collection",
    "Conversation",
    "EventBatch",
    "Exchange",
    "ExchangeQuerySet",
    "IdempotentRequest",
    "Item",
    "Keepsake",
    "ModelPrice",
    "NamedConversation",
    "Payload",
    "Provenance",
    "Purge",
    "RecallKey",
    "Segment",
    "SegmentEntry",
    "Snapshot",
    "SnapshotQuerySet",
    "UsageHour",
    "UsageLate",
    "UsageMark",
    "Worker",
    "WorkerQuerySet",
]

"""The sealed columns of this app, for the rotation of keys."""

from __future__ import annotations

from floway.resealing import SealedColumn
from responses_app import answers, background, capturing, content, conversing, journal, keepsakes
from responses_app.models import BackgroundResponse, EventBatch, Item, Keepsake, NamedConversation, Payload, Snapshot

COLUMNS = [
    SealedColumn(
        Item,
        "sealed",
        purpose=content.PURPOSE,
        known_by=("conversation_id", "digest"),
        owner=lambda conversation_id, digest: content.owner_of(conversation_id, bytes(digest)),
    ),
    SealedColumn(
        Keepsake, "sealed", purpose=keepsakes.PURPOSE, known_by=("conversation_id", "credential_id"), owner=keepsakes.owner_of
    ),
    SealedColumn(Snapshot, "answer", purpose=answers.PURPOSE, known_by=("response_id",), owner=answers.owner_of),
    SealedColumn(Payload, "sealed", purpose=capturing.PURPOSE, known_by=("pk",), owner=str),
    SealedColumn(
        BackgroundResponse, "sealed", purpose=background.PURPOSE, known_by=("response_id",), owner=background.owner_of
    ),
    SealedColumn(EventBatch, "sealed", purpose=journal.PURPOSE, known_by=("response_id", "first"), owner=journal.owner_of),
    SealedColumn(NamedConversation, "sealed", purpose=conversing.PURPOSE, known_by=("public_id",), owner=conversing.owner_of),
]

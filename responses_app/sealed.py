"""The sealed columns of this app, for the rotation of keys."""

from __future__ import annotations

from floway.resealing import SealedColumn
from responses_app import answers, capturing, content, keepsakes
from responses_app.models import Item, Keepsake, Payload, Snapshot

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
]

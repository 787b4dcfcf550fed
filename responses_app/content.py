"""Items at rest: laid out in segments, sealed, expanded again, and found by their prefix when a caller sends them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from floway.sealing import lookup_hash, seal_content, unseal_content
from floway.wire.json import JSON, dumps, dumps_canonical, loads
from responses_app.models import Item, Provenance, Segment, SegmentEntry, Snapshot

PURPOSE = "item"
_PROBED_AT_ONCE = 256
_UNSTABLE_KEYS = frozenset({"id", "status"})
"""What client libraries change in an item when they send it again."""

_EXPAND = """
WITH RECURSIVE path(id, upto) AS (
    SELECT id, %s FROM responses_app_segment WHERE id = %s
    UNION ALL
    SELECT s.parent_id, s.parent_length FROM path p JOIN responses_app_segment s ON s.id = p.id WHERE s.parent_id IS NOT NULL
)
SELECT i.digest, i.sealed
FROM path JOIN responses_app_segmententry e ON e.segment_id = path.id AND e.position < path.upto
JOIN responses_app_item i ON i.id = e.item_id
WHERE e.position >= %s
ORDER BY e.position
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a conversation's content: the first `length` items of a segment, its ancestors' included."""

    segment_id: int | None
    length: int
    chain: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Written(Place):
    """A place that stands in a segment: only a conversation's origin stands in none."""

    segment_id: int


def place_of(snapshot: Snapshot) -> Place:
    """Where a snapshot ends."""
    return Place(snapshot.segment_id, snapshot.length, bytes(snapshot.chain))


def origin(conversation_id: int, *, stored: bool) -> Place:
    """Where a conversation begins; stored content and mere traces never share a segment."""
    seed = lookup_hash("chain-origin", str(conversation_id).encode(), b"stored" if stored else b"trace")
    return Place(None, 0, seed)


def expand(snapshot: Snapshot, since: int = 0) -> list[JSON]:
    """All items up to and including the snapshot's turn, in order, from position `since`.

    :raises floway.sealing.CannotUnseal: an item is damaged.
    """
    with connection.cursor() as cursor:
        cursor.execute(_EXPAND, [snapshot.length, snapshot.segment_id, since])
        rows = cursor.fetchall()
    plain = [_unsealed(snapshot.conversation_id, bytes(digest), sealed) for digest, sealed in rows]
    items: list[JSON] = loads(b"[%s]" % b",".join(plain))
    return items


def owner_of(conversation_id: int, digest: bytes) -> str:
    """Whose an envelope is."""
    return f"{conversation_id}:{digest.hex()}"


def _unsealed(conversation_id: int, digest: bytes, sealed: bytes | memoryview) -> bytes:
    return unseal_content(sealed, purpose=PURPOSE, owner=owner_of(conversation_id, digest))


def chain_on(start: bytes, items: Sequence[JSON]) -> list[bytes]:
    """The chain after each of `items`, beginning at `start`."""
    chain: list[bytes] = []
    for item in items:
        start = lookup_hash("chain", start, dumps_canonical(_stable(item)))
        chain.append(start)
    return chain


def _stable(item: JSON) -> JSON:
    """An item without what differs between equal ones: nulls anywhere, ids and states at its head."""
    bare = _without_nulls(item)
    return {k: v for k, v in bare.items() if k not in _UNSTABLE_KEYS} if isinstance(bare, dict) else bare


def _without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def longest_prefix(conversation_id: int, items: Sequence[JSON], *, stored: bool) -> Place:
    """The furthest place of the conversation that `items` begin with; its origin where they share nothing."""
    start = origin(conversation_id, stored=stored)
    chain = chain_on(start.chain, items)
    for end in range(len(chain), 0, -_PROBED_AT_ONCE):
        entry = (
            SegmentEntry.objects.filter(
                segment__conversation_id=conversation_id, chain__in=chain[max(0, end - _PROBED_AT_ONCE) : end]
            )
            .order_by("-position")
            .first()
        )
        if entry is not None:
            return Place(entry.segment_id, entry.position + 1, bytes(entry.chain))
    return start


def extend(conversation_id: int, at: Place, items: Sequence[JSON], *, stored: bool, issuer: int | None) -> Written:
    """Write `items` after `at`, in the open transaction; returns where they end.

    :param stored: False leaves the trace alone, no content.
    :param issuer: the credential that issued the items' encrypted parts, where there are any.
    """
    segment_id = _segment_after(conversation_id, at, len(items))
    chain = chain_on(at.chain, items)
    item_ids: Sequence[int | None] = _store(conversation_id, items, issuer) if stored else [None] * len(items)
    SegmentEntry.objects.bulk_create(
        SegmentEntry(segment_id=segment_id, position=at.length + offset, chain=mark, item_id=item_id)
        for offset, (mark, item_id) in enumerate(zip(chain, item_ids, strict=True))
    )
    return Written(segment_id, at.length + len(items), chain[-1] if chain else at.chain)


def _segment_after(conversation_id: int, at: Place, added: int) -> int:
    """The segment to append to: the place's own if it ends there, else a new one that begins there."""
    end = at.length + added
    if at.segment_id is not None and Segment.objects.filter(pk=at.segment_id, length=at.length).update(length=end):
        return at.segment_id
    segment = Segment.objects.create(
        conversation_id=conversation_id, parent_id=at.segment_id, parent_length=at.length, length=end
    )
    return segment.pk


def _store(conversation_id: int, items: Sequence[JSON], issuer: int | None) -> list[int]:
    plain = [dumps(item) for item in items]
    digests = [lookup_hash("item", str(conversation_id).encode(), content) for content in plain]
    rows = {
        digest: Item(
            conversation_id=conversation_id,
            digest=digest,
            sealed=seal_content(content, purpose=PURPOSE, owner=owner_of(conversation_id, digest)),
            credential_id=issuer if ciphertext_of(item) else None,
        )
        for item, content, digest in zip(items, plain, digests, strict=True)
    }
    Item.objects.bulk_create(rows.values(), ignore_conflicts=True)
    found = Item.objects.filter(conversation_id=conversation_id, digest__in=list(rows)).values_list("digest", "id")
    ids = {bytes(digest): pk for digest, pk in found}
    return [ids[digest] for digest in digests]


def ciphertext_of(item: JSON) -> str | None:
    """The part of an item that only its issuer can read."""
    sealed = item.get("encrypted_content") if isinstance(item, Mapping) else None
    return sealed if isinstance(sealed, str) and sealed else None


def note_issuer(api_key_id: int, items: Sequence[JSON], issuer: int | None) -> None:
    """Remember who issued the encrypted parts of `items`, in the open transaction."""
    if issuer is None:
        return
    sealed = {text for item in items if (text := ciphertext_of(item))}
    Provenance.objects.bulk_create(
        (Provenance(api_key_id=api_key_id, digest=provenance_digest(text), credential_id=issuer) for text in sealed),
        ignore_conflicts=True,
    )


def provenance_digest(ciphertext: str) -> bytes:
    """What `Provenance` finds a ciphertext by."""
    return lookup_hash("provenance", ciphertext.encode())


def after_compaction(items: Sequence[JSON], output: Sequence[JSON]) -> list[JSON] | None:
    """What a conversation consists of after `output` compacted it; None where it did not.

    Developer and user messages and earlier compactions stay, in order, then the new compaction: as official clients go on.
    """
    compactions = [item for item in output if _type(item) == "compaction"]
    if not compactions:
        return None
    return [item for item in items if _survives(item)] + compactions


def _survives(item: JSON) -> bool:
    kind = _type(item)
    return kind == "compaction" or (kind == "message" and item.get("role") in {"developer", "user", "system"})


def _type(item: Any) -> Any:
    return item.get("type", "message") if isinstance(item, Mapping) else None

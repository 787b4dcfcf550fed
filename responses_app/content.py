"""Items at rest: laid out in segments, sealed, expanded again, and found by their prefix when a caller sends them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from floway.sealing import lookup_hash, seal_content, unseal_contents
from floway.sql import Row, Tells
from floway.wire.json import JSON, dumps, dumps_canonical
from responses_app.models import Snapshot
from responses_app.statements import segments, snapshots
from responses_app.statements.segments import Sealed

PURPOSE = "item"
_PROBED_AT_ONCE = 256
_UNSTABLE_KEYS = frozenset({"id", "status"})
"""What client libraries change in an item when they send it again."""


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
    return _opened(snapshot, segments.items(snapshot.segment_id, snapshot.length, since))


def _opened(snapshot: Snapshot, rows: Sequence[Row]) -> list[JSON]:
    whose = snapshot.conversation_id
    plain = unseal_contents([(sealed, owner_of(whose, bytes(digest))) for digest, sealed in rows], purpose=PURPOSE)
    items: list[JSON] = orjson.loads(b"[%s]" % b",".join(plain))  # what was strict when it came in
    return items


class Opened:
    """Several snapshots of one conversation, of whose common items each is opened once. `size`: bytes of what was, sealed."""

    def __init__(self) -> None:
        self.size = 0
        self._known: set[bytes] = set()

    def more_of(self, snapshot: Snapshot) -> list[JSON]:
        """The snapshot's items, less those that others had.

        :raises floway.sealing.CannotUnseal: an item is damaged.
        """
        rows = {bytes(digest): sealed for digest, sealed in segments.items(snapshot.segment_id, snapshot.length, 0)}
        new = [(digest, sealed) for digest, sealed in rows.items() if digest not in self._known]
        self._known |= rows.keys()
        self.size += sum(len(sealed) for _, sealed in new)
        return _opened(snapshot, new)


def owner_of(conversation_id: int, digest: bytes) -> str:
    """Whose an envelope is."""
    return f"{conversation_id}:{digest.hex()}"


def chain_on(start: bytes, items: Sequence[JSON]) -> list[bytes]:
    """The chain after each of `items`, beginning at `start`."""
    chain: list[bytes] = []
    for item in items:
        start = lookup_hash("chain", start, _stable(item))
        chain.append(start)
    return chain


def _stable(item: JSON) -> bytes:
    """An item without what differs between equal ones: nulls anywhere, ids and states at its head."""
    if isinstance(item, dict) and not _UNSTABLE_KEYS.isdisjoint(item):
        item = {key: value for key, value in item.items() if key not in _UNSTABLE_KEYS}
    text = dumps_canonical(item)
    return dumps_canonical(_without_nulls(item)) if b"null" in text else text


def _without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Prefix(Place):
    """A place that items were found to lead to. `rest` is the chain after each of those that come behind it."""

    rest: Sequence[bytes] = field(repr=False)


def marks(conversation_id: int, items: Sequence[JSON], *, stored: bool) -> list[bytes]:
    """The chain after each of `items`, where they are a whole history."""
    return chain_on(origin(conversation_id, stored=stored).chain, items)


def longest_prefix(
    conversation_id: int, items: Sequence[JSON], *, stored: bool, chain: Sequence[bytes] | None = None
) -> Prefix:
    """The furthest place of the conversation that `items` begin with; its origin where they share nothing.

    :param chain: their marks, where they are known already.
    """
    start = origin(conversation_id, stored=stored)
    if chain is None:
        chain = chain_on(start.chain, items)
    for end in range(len(chain), 0, -_PROBED_AT_ONCE):
        found = segments.furthest(conversation_id, chain[max(0, end - _PROBED_AT_ONCE) : end])
        if found is not None:
            segment_id, position, mark = found
            return Prefix(segment_id, position + 1, mark, chain[position + 1 :])
    return Prefix(None, 0, start.chain, chain)


def note_of_turn(conversation_id: int, chain: Sequence[bytes], began_at: int) -> JSON | None:
    """What the provider noted on the turn that a history ends in the midst of; None where the turn is not known.

    :param chain: the history's marks. :param began_at: the place of the item that began the turn.
    """
    probed = dict.fromkeys([chain[began_at], *chain[began_at:][-_PROBED_AT_ONCE:]])
    snapshot = snapshots.of_turn(conversation_id, list(probed), began_at)
    return None if snapshot is None else snapshot.metadata_json or None


@dataclass(frozen=True, slots=True)
class Addition:
    """Items to be written after a place: hashed and sealed already, so that the transaction that writes them is short.

    :param items: one for each mark of `chain`; none where the trace alone is kept.
    """

    conversation_id: int
    at: Place
    chain: Sequence[bytes] = field(repr=False)
    items: Sequence[Sealed] | None


def addition(conversation_id: int, at: Place, items: Sequence[JSON], *, stored: bool, issuer: int | None) -> Addition:
    """What writes `items` after `at`.

    :param stored: False leaves the trace alone, no content.
    :param issuer: the credential that issued the items' encrypted parts, where there are any.
    """
    ready = list(at.rest) if isinstance(at, Prefix) else []
    chain = ready + chain_on(ready[-1] if ready else at.chain, items[len(ready) :])
    return Addition(conversation_id, at, chain, [_sealed(conversation_id, item, issuer) for item in items] if stored else None)


def _sealed(conversation_id: int, item: JSON, issuer: int | None) -> Sealed:
    plain = dumps(item)
    digest = lookup_hash("item", str(conversation_id).encode(), plain)
    envelope = seal_content(plain, purpose=PURPOSE, owner=owner_of(conversation_id, digest))
    return Sealed(digest, envelope, issuer if ciphertext_of(item) else None)


def write(added: Addition) -> Tells[Written]:
    """Write it, in the open transaction. What it returns must be called: that writes the rest, and tells where it ends."""
    at, chain = added.at, added.chain
    end = at.length + len(chain)
    segment = _segment_after(added.conversation_id, at, end)
    items = None if added.items is None else segments.add_items(added.conversation_id, added.items)

    def enter() -> Written:
        segment_id = segment()
        known = None if items is None else items()
        keys = [None] * len(chain) if known is None else [known[item.digest] for item in added.items or ()]
        segments.add_entries(segment_id, at.length, chain, keys)
        return Written(segment_id, end, chain[-1] if chain else at.chain)

    return enter


def extend(conversation_id: int, at: Place, items: Sequence[JSON], *, stored: bool, issuer: int | None) -> Written:
    """Write `items` after `at`, in the open transaction; see `addition`."""
    return write(addition(conversation_id, at, items, stored=stored, issuer=issuer))()


def _segment_after(conversation_id: int, at: Place, end: int) -> Tells[int]:
    """The segment to append to: the place's own if it ends there, else a new one that begins there."""
    segment_id = at.segment_id
    if segment_id is None:
        return segments.add(conversation_id, None, at.length, end)
    goes_on = segments.append(segment_id, at.length, end)
    return lambda: segment_id if goes_on() else segments.add(conversation_id, segment_id, at.length, end)()


def ciphertext_of(item: JSON) -> str | None:
    """The part of an item that only its issuer can read."""
    sealed = item.get("encrypted_content") if isinstance(item, Mapping) else None
    return sealed if isinstance(sealed, str) and sealed else None


def issued(items: Sequence[JSON]) -> set[bytes]:
    """What `Provenance` finds the encrypted parts of `items` by."""
    return {provenance_digest(text) for item in items if (text := ciphertext_of(item))}


def provenance_digest(ciphertext: str) -> bytes:
    """What `Provenance` finds a ciphertext by."""
    return lookup_hash("provenance", ciphertext.encode())


def compacts(output: Sequence[JSON]) -> bool:
    """Does an answer replace what was said before it?"""
    return any(_type(item) == "compaction" for item in output)


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

"""Whose ciphertext a request carries: only the login that issued it can have it read.

Reasoning may be left out, whole, and the model thinks anew; a compaction stands for all before it and cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from floway.wire.errors import ApiError, Unavailable
from floway.wire.json import JSON
from responses_app.content import ciphertext_of, provenance_digest
from responses_app.models import Provenance

DEGRADED_REASON = "its encrypted content belongs to another login"
_ASKED_AT_ONCE = 500
_RETRY_AFTER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Issuers:
    """Which login issued which of a request's items, as far as that is known here; by position in the input."""

    by_position: Mapping[int, int]
    compactions: frozenset[int]

    def preferred(self) -> int | None:
        """The login to ask before any other: a compaction's issuer, else that of the newest encrypted item."""
        ranked = sorted(self.by_position, key=lambda position: (position in self.compactions, position))
        return self.by_position[ranked[-1]] if ranked else None

    def foreign_to(self, credential_id: int) -> set[int]:
        """Positions that `credential_id` cannot read.

        :raises Unavailable: a compaction is among them.
        """
        foreign = {position for position, issuer in self.by_position.items() if issuer != credential_id}
        if foreign & self.compactions:
            raise compaction_unavailable()
        return foreign


def issuers_of(api_key_id: int, items: Sequence[JSON]) -> Issuers:
    """Look up who issued the encrypted items among `items`."""
    digests = {position: provenance_digest(text) for position, item in enumerate(items) if (text := ciphertext_of(item))}
    known = _known(api_key_id, list(digests.values()))
    found = {position: known[digest] for position, digest in digests.items() if digest in known}
    return Issuers(found, frozenset(compaction_positions(items)) & frozenset(found))


def _known(api_key_id: int, digests: Sequence[bytes]) -> dict[bytes, int]:
    known: dict[bytes, int] = {}
    for start in range(0, len(digests), _ASKED_AT_ONCE):
        rows = Provenance.objects.filter(api_key_id=api_key_id, digest__in=digests[start : start + _ASKED_AT_ONCE])
        known.update((bytes(digest), issuer) for digest, issuer in rows.values_list("digest", "credential_id"))
    return known


def compaction_positions(items: Sequence[JSON]) -> Iterable[int]:
    """Where compactions stand among `items`."""
    return (n for n, item in enumerate(items) if isinstance(item, Mapping) and item.get("type") == "compaction")


def encrypted_reasoning(items: Sequence[JSON]) -> set[int]:
    """Where encrypted reasoning stands among `items`."""
    return {n for n, item in enumerate(items) if ciphertext_of(item) and item.get("type") == "reasoning"}


def compaction_unavailable() -> ApiError:
    """The clear error for a compaction that nobody present can read."""
    return Unavailable(
        "This conversation was compacted by a login that cannot serve now, and nothing else can read the compaction. "
        "Try again when the operator has brought that login back, or begin a new conversation.",
        code="compaction_unavailable",
        retry_after=_RETRY_AFTER_SECONDS,
    )

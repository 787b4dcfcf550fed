"""A turn's upstream request for one login: the same at every dispatch but for what belongs to that login."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from floway.providers.contract import (
    Account,
    Change,
    ChangeKind,
    Entropy,
    IdentityClaim,
    PreparedRequest,
    ProviderRefused,
    RequestContext,
    ResponsesProvider,
)
from floway.wire.errors import ApiError, InvalidRequest, ServiceError
from floway.wire.json import JSON
from responses_app import keepsakes
from responses_app.acceptance import Call, Ground
from responses_app.claims import Claim
from responses_app.provenance import DEGRADED_REASON


def seeded(seed: bytes, label: str) -> Entropy:
    """Bytes that are random to everybody else and the same for the same seed and label."""
    drawn = 0

    def draw(count: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(seed + label.encode() + drawn.to_bytes(8, "big")).digest(count)

    return draw


@dataclass(frozen=True, slots=True)
class Identified:
    """Who a turn is.

    :param recalled: its conversation was found by its recall key. :param resumed: the provider's note on the turn that it asked
        for.
    """

    claim: IdentityClaim
    recalled: bool
    resumed: JSON | None


class Preparation:
    """Prepares a claimed turn, for one login after the other.

    `carry`, `dropped` and `left_out` are those of the latest: what the provider keeps of it, the parameters that the upstream
    does not take, and the items that it could not read.
    """

    def __init__(
        self, provider: ResponsesProvider, call: Call, ground: Ground, claim: Claim, identity: Identified, seed: bytes
    ) -> None:
        self.carry: JSON = None
        self.dropped: list[str] = []
        self.left_out: list[str] = []
        self._provider = provider
        self._call = call
        self._ground = ground
        self._inbound = ground.inbound
        self._claim = claim
        self._identified = identity
        self._seed = seed

    @property
    def items(self) -> list[JSON]:
        """Everything that the turn stands on."""
        return self._ground.items

    def leave_out(self, positions: Collection[int]) -> None:
        """Leave encrypted items, these and no others, out of what goes upstream; the caller and the operator are told."""
        self._inbound = self._ground.without(positions)
        self.left_out = [f"input[{position}]" for position in sorted(positions)]

    def prepare(self, account: Account) -> PreparedRequest:
        """The request for `account`; notes on the exchange what it states and what was changed.

        :raises ApiError: it cannot be expressed upstream, or only with changes that the key does not want.
        """
        conversation = self._claim.conversation
        context = RequestContext(
            attempt_id=self._call.request_id,
            started_at=self._call.started_at,
            entropy=seeded(self._seed, "prepare"),
            action=self._call.action,
            inbound=self._inbound,
            account=account,
            claim=self._identified.claim,
            note=conversation.note,
            continued=self._ground.note,
            latest=None if self._identified.recalled else conversation.latest_note,
            generation=self._claim.generation,
            resumed=self._identified.resumed,
            keepsakes=() if self._claim.is_first else keepsakes.kept(conversation.pk, account.credential_id),
        )
        try:
            prepared = self._provider.prepare_responses_request(context)
        except ProviderRefused as refusal:
            raise refused(refusal) from refusal
        self._note(prepared)
        return prepared

    def _note(self, prepared: PreparedRequest) -> None:
        self.carry = prepared.carry
        exchange = self._claim.exchange
        exchange.identity = [{"name": i.name, "value": i.value, "source": i.source} for i in prepared.identity]
        left_out = [Change(ChangeKind.DROPPED, field, DEGRADED_REASON) for field in self.left_out]
        exchange.changes = [
            {"kind": c.kind.value, "field": c.field, "reason": c.reason} for c in (*left_out, *prepared.changes)
        ]
        refusable = [c for c in prepared.changes if c.refusable]
        self.dropped = [c.field for c in refusable if c.kind is ChangeKind.DROPPED]
        if refusable and self._call.key.strict:
            first = refusable[0]
            raise InvalidRequest(
                f"Unsupported parameter: '{first.field}': {first.reason}", param=first.field, code="unsupported_parameter"
            )


def refused(refusal: ProviderRefused) -> ApiError:
    """A provider's refusal as the caller is told it."""
    kind = InvalidRequest if refusal.status < 500 else ServiceError
    return kind(refusal.message, param=refusal.param, code=refusal.code, status=refusal.status)

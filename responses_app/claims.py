"""The first of a turn's two transactions: which conversation, which context window, and who holds the snapshot continued.

Windows are numbered per conversation, each number handed out once. A snapshot's own window belongs to the first turn that
continues it; whoever comes second forks, and takes the next number. The hold is a lease on the database's clock until the turn
settles; a turn that fails gives it back.

A conversation's counters change by single statements, so no claim reads them under a lock: one that changes none is as good as
one that came a moment earlier.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import keys
from accounts.models import ApiKey
from floway import sql
from floway.providers.contract import IdentityClaim, Numbered, Opaque
from floway.sealing import lookup_hash
from floway.sql import Tells
from responses_app import limits, workers
from responses_app.models import Conversation, Exchange, Snapshot
from responses_app.statements import conversations, exchanges, snapshots

log = logging.getLogger(__name__)

_GRACE_SECONDS = 60


class LostRace(Exception):
    """Another request registered the same recall key first, or deleted what was found; look again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a turn holds while it runs.

    :param is_first: the conversation was made by this claim: nothing was written in it before.
    :param holds: the window of the snapshot that it continues is its own.
    :param standing: what is left of the key's budgets.
    """

    exchange: Exchange
    conversation: Conversation
    generation: int
    opaque_window: str | None
    is_first: bool
    holds: bool
    standing: limits.Standing = limits.NO_BUDGETS


@dataclass(frozen=True, slots=True)
class Known:
    """What an identity finds.

    :param conversation: the one that is there already, None where it is new.
    :param recalled: a recall key found it; identify again with its note.
    :param scope, recall: what the identity is found by.
    """

    conversation: Conversation | None
    recalled: bool
    scope: bytes
    recall: bytes | None


def scope_digest(claim: IdentityClaim) -> bytes:
    """The key of a conversation within an API key and a provider."""
    return lookup_hash("scope", *(part.encode() for step in claim.scope for part in (step.kind, step.id)))


def begun(api_key: ApiKey, identity: IdentityClaim, scope: bytes, now: datetime) -> Conversation:
    """A conversation of the claimed scope, not saved, in which nothing was said. :param scope: its digest."""
    return sql.shape(Conversation).new(
        api_key_id=api_key.pk,
        provider=api_key.provider,
        scope_digest=scope,
        scope=[{"kind": step.kind, "id": step.id} for step in identity.scope],
        note=identity.note,
        created_at=now,
        last_used_at=now,
    )


def recall_digest(recall_key: str) -> bytes:
    """What `RecallKey` finds a conversation by."""
    return lookup_hash("recall", recall_key.encode())


def known(api_key: ApiKey, identity: IdentityClaim, continued: Snapshot | None) -> Known:
    """The conversation that the identity's recall key finds, else that of its scope, as it stands."""
    scope = scope_digest(identity)
    if identity.recall_key is not None:
        recall = recall_digest(identity.recall_key)
        found, recalled = conversations.recalled(api_key.pk, api_key.provider, recall, scope)
        return Known(found, recalled, scope, recall)
    if continued is not None and _is_of(continued.conversation, api_key, scope):
        return Known(continued.conversation, recalled=False, scope=scope, recall=None)
    return Known(conversations.find(api_key.pk, api_key.provider, scope), recalled=False, scope=scope, recall=None)


def _is_of(conversation: Conversation, api_key: ApiKey, scope: bytes) -> bool:
    found = (conversation.api_key_id, conversation.provider, bytes(conversation.scope_digest))
    return found == (api_key.pk, api_key.provider, scope)


def claim_turn(
    api_key: ApiKey,
    identity: IdentityClaim,
    continued: Snapshot | None,
    exchange: Exchange,
    found: Known | None = None,
) -> Claim:
    """Write the exchange and take what the turn needs, in one transaction.

    :param exchange: unsaved; its conversation, continued snapshot, generation and process are filled in.
    :param found: what the identity, or the one before the conversation was recalled, was found to know.
    :raises LostRace: see there. :raises limits.LimitReached: the key has no room for it; nothing was taken.
    """
    exchange.worker_id = workers.current()
    try:
        with transaction.atomic():
            claim, added = _claim(api_key, identity, continued, exchange, found)
        exchanges.note_row(exchange, added)
        return claim
    except BaseException as error:
        exchanges.forget_row(exchange)
        sql.relate(exchange, conversation=None, continued=None)
        exchange.generation = None
        if isinstance(error, IntegrityError):
            raise LostRace from error  # what was found has been deleted since
        raise


def _claim(
    api_key: ApiKey, identity: IdentityClaim, continued: Snapshot | None, exchange: Exchange, found: Known | None
) -> tuple[Claim, sql.Asked]:
    """The claim, and the statement that has written its exchange, which may not have been sent yet."""
    conversation, is_first = _conversation(api_key, identity, found, exchange.started_at)
    sql.relate(exchange, conversation=conversation, continued=continued)
    stated, own = identity.window, continued
    if continued is None or continued.conversation_id != conversation.pk:
        own = None
    # Locks are taken in one order: conversation, snapshot, key.
    if isinstance(stated, Numbered) and conversation.next_generation <= stated.number:
        conversations.pass_over(conversation.pk, stated.number)
    holds = False
    if own is None:
        exchange.generation = _root_window(conversation, stated)
        added = exchanges.add(exchange)
    else:
        exchange.generation = own.generation if not isinstance(stated, Numbered) else stated.number
        added = exchanges.add(exchange)  # a hold refers to its row
        holds = _continue(conversation, stated, own, exchange)
    keys.note_use(api_key, exchange.started_at)
    standing = limits.admit(exchange, exchange.started_at)
    opaque = stated.id if isinstance(stated, Opaque) else None
    return Claim(exchange, conversation, exchange.generation, opaque, is_first, holds, standing), added


def _conversation(api_key: ApiKey, identity: IdentityClaim, found: Known | None, now: datetime) -> tuple[Conversation, bool]:
    """The claimed conversation, and whether it is new; then its recall key is registered too."""
    digest = scope_digest(identity) if found is None or found.recalled else found.scope
    if found is not None and found.conversation is not None and _is_of(found.conversation, api_key, digest):
        return found.conversation, False
    made = begun(api_key, identity, digest, now)
    if not conversations.add(made):
        # Another request made it at the same time; its row is the one.
        there = conversations.find(api_key.pk, api_key.provider, digest)
        if there is None:
            raise LostRace
        return there, False
    if identity.recall_key is not None:
        recall = found.recall if found is not None and found.recall is not None else recall_digest(identity.recall_key)
        conversations.register(api_key.pk, api_key.provider, recall, made.pk)
    return made, True


def _root_window(conversation: Conversation, stated: Numbered | Opaque | None) -> int:
    """The window of a turn that continues no snapshot of the conversation."""
    match stated:
        case Numbered(number):
            return number
        case Opaque(name) if name != conversation.opaque_window:
            return conversations.rename_window(conversation.pk, name)
        case _:
            return conversation.generation


def _continue(conversation: Conversation, stated: Numbered | Opaque | None, own: Snapshot, exchange: Exchange) -> bool:
    """Hold the snapshot's own window, or take the next number where that is another's or the caller states another.

    :returns: whether it is held.
    """
    if isinstance(stated, Numbered):
        return stated.number == own.generation and _hold(own, exchange)
    renamed = stated is not None and own.opaque_window not in {None, stated.id}
    if not renamed and _hold(own, exchange):
        return True
    exchange.generation = conversations.draw(conversation.pk)
    exchanges.set_generation(exchange)
    return False


def _hold(snapshot: Snapshot, exchange: Exchange) -> bool:
    """Take the snapshot's own window, if nobody has it for good or under a lease that still runs."""
    return snapshots.hold(snapshot, exchange.request_id, settings.FLOWAY_MAX_STREAM_SECONDS + _GRACE_SECONDS)


def release(exchange: Exchange) -> None:
    """Give back what the exchange holds, in the open transaction: a failed turn leaves no trace on its parent."""
    snapshots.release(exchange.pk)


def keep(claim: Claim) -> Tells[int]:
    """Hold for good what the turn holds, in the open transaction; tells the window that its continuation runs in.

    A process that stood still for longer than its lease, or was taken for dead, may find that another turn has gone on from the
    same snapshot meanwhile: then this one has become a fork, and goes on in the next number.
    """
    exchange = claim.exchange
    if not claim.holds or exchange.continued_id is None:
        return lambda: claim.generation
    is_kept = snapshots.keep(exchange.continued_id, exchange.pk)
    return lambda: claim.generation if is_kept() else _fork(claim)


def _fork(claim: Claim) -> int:
    log.warning("exchange %s: its window was given to another turn while it ran", claim.exchange.request_id)
    return conversations.draw(claim.conversation.pk)

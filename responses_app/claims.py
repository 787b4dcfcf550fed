"""The first of a turn's two transactions: which conversation, which context window, and who holds the snapshot continued.

Windows are numbered per conversation, each number handed out once. A snapshot's own window belongs to the first turn that
continues it; whoever comes second forks, and takes the next number. The hold is a lease on the database's clock until the turn
settles; a turn that fails gives it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts import keys
from accounts.models import ApiKey
from floway.providers.contract import IdentityClaim, Numbered, Opaque
from floway.sealing import lookup_hash
from floway.wire.json import JSON
from responses_app import limits, workers
from responses_app.models import Conversation, Exchange, RecallKey, Snapshot

_GRACE = timedelta(minutes=1)


class LostRace(Exception):
    """Another request registered the same recall key first; identify again with what it registered."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a turn holds while it runs.

    :param is_first: the conversation was made by this claim: nothing was written in it before.
    :param standing: what is left of the key's budgets.
    """

    exchange: Exchange
    conversation: Conversation
    generation: int
    opaque_window: str | None
    is_first: bool
    standing: limits.Standing = limits.NO_BUDGETS


def scope_digest(claim: IdentityClaim) -> bytes:
    """The key of a conversation within an API key and a provider."""
    return lookup_hash("scope", *(part.encode() for step in claim.scope for part in (step.kind, step.id)))


def recall_digest(recall_key: str) -> bytes:
    """What `RecallKey` finds a conversation by."""
    return lookup_hash("recall", recall_key.encode())


def recalled_note(api_key: ApiKey, recall_key: str) -> JSON | None:
    """The note of the conversation remembered under `recall_key`, or None."""
    found = RecallKey.objects.filter(api_key=api_key, provider=api_key.provider, digest=recall_digest(recall_key))
    return found.values_list("conversation__note", flat=True).first()


def known_credential(api_key: ApiKey, claim: IdentityClaim) -> int | None:
    """The credential that the claimed conversation has run on, where it exists."""
    known = Conversation.objects.filter(api_key=api_key, provider=api_key.provider, scope_digest=scope_digest(claim))
    return known.values_list("credential_id", flat=True).first()


def claim_turn(api_key: ApiKey, identity: IdentityClaim, continued: Snapshot | None, exchange: Exchange) -> Claim:
    """Write the exchange and take what the turn needs, in one transaction.

    :param exchange: unsaved; its conversation, continued snapshot, generation and process are filled in.
    :raises LostRace: see there. :raises limits.LimitReached: the key has no room for it; nothing was taken.
    """
    exchange.worker_id = workers.current()
    try:
        return _claim(api_key, identity, continued, exchange)
    except BaseException:
        # What was rolled back has no row: its number may be another's by now.
        exchange.pk, exchange.conversation, exchange.generation = None, None, None
        exchange._state.adding = True
        raise


def _claim(api_key: ApiKey, identity: IdentityClaim, continued: Snapshot | None, exchange: Exchange) -> Claim:
    with transaction.atomic():
        conversation, is_first = _conversation(api_key, identity)
        counters = (conversation.generation, conversation.next_generation, conversation.opaque_window)
        exchange.conversation, exchange.continued = conversation, continued
        if continued is None:
            exchange.generation = _window(conversation, identity.window, None, exchange)
            exchange.save(force_insert=True)
        else:
            exchange.save(force_insert=True)  # a hold refers to its row
            exchange.generation = _window(conversation, identity.window, continued, exchange)
            exchange.save(update_fields=["generation"])
        if counters != (conversation.generation, conversation.next_generation, conversation.opaque_window):
            conversation.save(update_fields=["generation", "next_generation", "opaque_window"])
        keys.note_use(api_key, exchange.started_at)
        standing = limits.admit(exchange, exchange.started_at)
    stated = identity.window
    opaque = stated.id if isinstance(stated, Opaque) else None
    return Claim(exchange, conversation, exchange.generation, opaque, is_first, standing)


def _conversation(api_key: ApiKey, identity: IdentityClaim) -> tuple[Conversation, bool]:
    """The claimed conversation, its row locked, and whether it is new; then its recall key is registered too."""
    digest = scope_digest(identity)
    rows = Conversation.objects.select_for_update(of=("self",)).filter(
        api_key=api_key, provider=api_key.provider, scope_digest=digest
    )
    known = rows.first()
    if known is not None:
        return known, False
    made = Conversation(
        api_key=api_key,
        provider=api_key.provider,
        scope_digest=digest,
        scope=[{"kind": step.kind, "id": step.id} for step in identity.scope],
        note=identity.note,
    )
    # Another request may make it at the same time; then its row is the one.
    Conversation.objects.bulk_create([made], ignore_conflicts=True)
    conversation = rows.get()
    if identity.recall_key is not None:
        _register(api_key, identity.recall_key, conversation)
    return conversation, True


def _register(api_key: ApiKey, recall_key: str, conversation: Conversation) -> None:
    """:raises LostRace: the key finds another conversation already."""
    mine = RecallKey(api_key=api_key, provider=api_key.provider, digest=recall_digest(recall_key), conversation=conversation)
    RecallKey.objects.bulk_create([mine], ignore_conflicts=True)
    found = RecallKey.objects.filter(api_key=api_key, provider=api_key.provider, digest=mine.digest)
    if found.values_list("conversation_id", flat=True).get() != conversation.pk:
        raise LostRace


def _window(
    conversation: Conversation, stated: Numbered | Opaque | None, continued: Snapshot | None, exchange: Exchange
) -> int:
    """The window this turn runs in; changes `conversation`'s counters, which the caller saves."""
    own = continued if continued is not None and continued.conversation_id == conversation.pk else None
    if isinstance(stated, Numbered):
        conversation.next_generation = max(conversation.next_generation, stated.number + 1)
        if own is not None and own.generation == stated.number:
            _hold(own, exchange)
        return stated.number
    if own is not None:
        return _continued_window(conversation, stated, own, exchange)
    return _root_window(conversation, stated)


def _continued_window(conversation: Conversation, stated: Opaque | None, own: Snapshot, exchange: Exchange) -> int:
    renamed = stated is not None and own.opaque_window not in {None, stated.id}
    if not renamed and _hold(own, exchange):
        return own.generation
    return draw(conversation)


def _root_window(conversation: Conversation, stated: Opaque | None) -> int:
    if stated is None:
        return conversation.generation
    if conversation.opaque_window not in {None, stated.id}:
        conversation.generation = draw(conversation)
    conversation.opaque_window = stated.id
    return conversation.generation


def draw(conversation: Conversation) -> int:
    """The next number never handed out; the caller holds the row's lock and saves it."""
    number = conversation.next_generation
    conversation.next_generation = number + 1
    return number


def _hold(snapshot: Snapshot, exchange: Exchange) -> bool:
    """Take the snapshot's own window, if nobody has it for good or under a lease that still runs."""
    until = models.ExpressionWrapper(
        Now() + timedelta(seconds=settings.FLOWAY_MAX_STREAM_SECONDS) + _GRACE, output_field=models.DateTimeField()
    )
    free = Q(continued_by=None) | Q(continued_until__lt=Now())
    return bool(Snapshot.objects.filter(free, pk=snapshot.pk).update(continued_by=exchange, continued_until=until))


def release(exchange: Exchange) -> None:
    """Give back what the exchange holds, in the open transaction: a failed turn leaves no trace on its parent."""
    Snapshot.objects.filter(continued_by=exchange).update(continued_by=None, continued_until=None)


def keep(exchange: Exchange) -> None:
    """Hold for good what the exchange holds, in the open transaction."""
    Snapshot.objects.filter(continued_by=exchange).update(continued_until=None)

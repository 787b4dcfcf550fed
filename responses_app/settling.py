"""The second of a turn's two transactions: what came of it, written before its caller hears of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import Error, connection, transaction

from accounts import quota
from floway.durability import waiting_at_most
from floway.providers.contract import Keepsake, QuotaWindow, SnapshotNote
from floway.wire.fold import Terminal
from floway.wire.json import JSON
from responses_app import claims, content, keepsakes, limits
from responses_app.claims import Claim
from responses_app.clock import Clock
from responses_app.models import Conversation, Exchange, Snapshot

log = logging.getLogger(__name__)

GIVE_UP_AFTER_SECONDS = 2.0
_PAUSE_SECONDS = 0.05
_LATE_PAUSES_SECONDS = (1, 5, 15, 60, 300)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What an answer's head told, to be kept whatever becomes of its turn."""

    credential_id: int
    conversation_id: int
    quota: Sequence[QuotaWindow] = ()
    keepsake: Keepsake | None = None

    def write(self, now: datetime) -> None:
        """Into the open transaction, but never at its cost: what cannot be kept is left out."""
        try:
            with transaction.atomic():
                if self.keepsake is not None:
                    keepsakes.keep(self.conversation_id, self.credential_id, self.keepsake)
                if self.quota:
                    quota.note(self.credential_id, self.quota, now)
        except Error:
            log.exception("credential %s: what an answer's head told could not be kept", self.credential_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A turn that reached its terminal event.

    :param items: the conversation's items before the turn, then its new input.
    :param stored: False where the caller asked that no content be kept.
    :param answer: the sealed answer, for the snapshot that is stored.
    """

    terminal: Terminal
    response_id: str
    items: Sequence[JSON]
    continued: Snapshot | None
    stored: bool
    note: SnapshotNote | None
    answer: bytes | None = None
    learnt: Learnt | None = None


def settle(claim: Claim, outcome: Outcome) -> None:
    """Snapshot, items, exchange and claim, in one transaction.

    :raises django.db.Error: nothing was written.
    """
    with transaction.atomic():
        _touch(claim, outcome)
        place = _write_content(claim, outcome)
        compacted = content.after_compaction((), outcome.terminal.output) is not None
        generation = _open_window(claim.conversation.pk) if compacted else claim.generation
        claim.exchange.save(force_update=True)
        _snapshot(claim, outcome, place, generation, compacted=compacted).save(force_insert=True)
        if outcome.continued is not None:
            claims.keep(claim.exchange)
        if outcome.learnt is not None:
            outcome.learnt.write(claim.exchange.finished_at or claim.exchange.started_at)
        limits.ended(claim.exchange)


def _touch(claim: Claim, outcome: Outcome) -> None:
    """Write what the conversation remembers of the turn. First of all: it locks the row, so turns settle one by one."""
    remembered = {"latest_note": dict(outcome.note.metadata)} if outcome.note is not None else {}
    Conversation.objects.filter(pk=claim.conversation.pk).update(
        credential_id=claim.exchange.credential_id, last_used_at=claim.exchange.started_at, **remembered
    )


def _open_window(conversation_id: int) -> int:
    """The window that a compaction opens; roots of the conversation run in it from now on."""
    conversation = Conversation.objects.select_for_update().get(pk=conversation_id)
    conversation.generation, conversation.opaque_window = claims.draw(conversation), None
    conversation.save(update_fields=["generation", "next_generation", "opaque_window"])
    return conversation.generation


def _write_content(claim: Claim, outcome: Outcome) -> content.Written:
    """Items behind what the conversation has of them already; notes on the exchange how many that were."""
    conversation, output, exchange = claim.conversation, outcome.terminal.output, claim.exchange
    at = _known(claim, outcome)
    exchange.input_items, exchange.known_items = len(outcome.items), at.length
    replaced = content.after_compaction(outcome.items, output)
    if replaced is None:
        new = [*outcome.items[at.length :], *output]
    else:
        at = content.longest_prefix(conversation.pk, replaced, stored=outcome.stored)
        new = replaced[at.length :]
    content.note_issuer(exchange.api_key_id, output, exchange.credential_id)
    return content.extend(conversation.pk, at, new, stored=outcome.stored, issuer=exchange.credential_id)


def _known(claim: Claim, outcome: Outcome) -> content.Place:
    """How far the conversation has the turn's items already."""
    conversation, parent = claim.conversation, outcome.continued
    if parent is not None and _same_ground(parent, conversation, outcome):
        return content.place_of(parent)
    if claim.is_first:
        return content.origin(conversation.pk, stored=outcome.stored)
    return content.longest_prefix(conversation.pk, outcome.items, stored=outcome.stored)


def _same_ground(parent: Snapshot, conversation: Conversation, outcome: Outcome) -> bool:
    """Can the turn be written right after its parent? Not in another conversation, nor content after mere traces."""
    return parent.conversation_id == conversation.pk and parent.stored == outcome.stored


def _snapshot(claim: Claim, outcome: Outcome, place: content.Written, generation: int, *, compacted: bool) -> Snapshot:
    exchange = claim.exchange
    return Snapshot(
        response_id=outcome.response_id,
        api_key_id=exchange.api_key_id,
        conversation=claim.conversation,
        credential_id=exchange.credential_id,
        exchange=exchange,
        parent=outcome.continued,
        segment_id=place.segment_id,
        length=place.length,
        chain=place.chain,
        generation=generation,
        compaction=compacted,
        opaque_window=None if compacted else claim.opaque_window,
        model=exchange.model,
        stored=outcome.stored,
        answer=outcome.answer,
        metadata_json=dict(outcome.note.metadata) if outcome.note else {},
    )


def settle_within(claim: Claim, outcome: Outcome, clock: Clock) -> bool:
    """Settle, trying again for two seconds; False where the database would not take it.

    A paid turn is never reported as failed: then the caller is told that it was not stored, and the exchange is written as
    soon as it can be.
    """
    give_up_at = clock.monotonic() + GIVE_UP_AFTER_SECONDS
    while True:
        try:
            with waiting_at_most(max(0.0, give_up_at - clock.monotonic())):
                settle(claim, outcome)
        except Error:
            if clock.monotonic() + _PAUSE_SECONDS > give_up_at:
                log.exception("exchange %s: completed but could not be stored", claim.exchange.request_id)
                leave_unstored(claim.exchange, "Completed, but the database would not store it.", clock)
                return False
            clock.sleep(_PAUSE_SECONDS)
        else:
            return True
        finally:
            connection.close()


def leave_unstored(exchange: Exchange, why: str, clock: Clock) -> None:
    """Write, as soon as it can be, that a turn was completed and nothing of it stored; its window stays taken."""
    exchange.operator_note, exchange.stored = why, False

    def write() -> None:
        with transaction.atomic():
            exchange.save()
            claims.keep(exchange)
            limits.ended(exchange)

    write_later(write, exchange.request_id, clock)


def fail(exchange: Exchange, learnt: Learnt | None, clock: Clock) -> None:
    """Write how the exchange failed and give back what it held; later, where the database won't have it now."""

    def write() -> None:
        with transaction.atomic():
            exchange.save()
            claims.release(exchange)
            if learnt is not None:
                learnt.write(clock.now())
            limits.ended(exchange)

    try:
        write()
    except Error:
        log.exception("exchange %s: its end could not be written yet", exchange.request_id)
        write_later(write, exchange.request_id, clock)
    finally:
        connection.close()


def note_delivery(exchange: Exchange) -> None:
    """Write who ended a settled exchange; its loss would only cost the operator a detail."""
    try:
        with transaction.atomic():
            Exchange.objects.filter(pk=exchange.pk).update(ended_by=exchange.ended_by)
    except Error as error:
        log.warning("exchange %s: %s", exchange.request_id, error)
    finally:
        connection.close()


def write_later(write: Callable[[], None], request_id: str, clock: Clock) -> None:
    """Try `write` again in the background, ever more patiently."""

    def run() -> None:
        for pause in _LATE_PAUSES_SECONDS:
            clock.sleep(pause)
            try:
                write()
            except Error as error:
                log.warning("exchange %s: still not written: %s", request_id, error)
            else:
                log.info("exchange %s: written late", request_id)
                return
            finally:
                connection.close()

    threading.Thread(target=run, name=f"late-write-{request_id}", daemon=True).start()

"""The second of a turn's two transactions: what came of it, written before its caller hears of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import Error, OperationalError, connection, transaction

from accounts import quota
from floway import sql
from floway.durability import is_held_up, waiting_at_most
from floway.providers.contract import Keepsake, QuotaWindow, SnapshotNote
from floway.sql import Tells
from floway.wire.fold import Terminal
from floway.wire.json import JSON
from responses_app import claims, content, conversing, keepsakes, limits
from responses_app.claims import Claim
from responses_app.clock import Clock
from responses_app.conversing import Joined
from responses_app.models import Conversation, Exchange, Snapshot
from responses_app.statements import conversations, exchanges, segments, snapshots

log = logging.getLogger(__name__)

GIVE_UP_AFTER_SECONDS = 2.0
_LONGEST_QUEUE_SECONDS = 30.0
_PAUSE_SECONDS = 0.05
_LATE_PAUSES_SECONDS = (1, 5, 15, 60, 300)


class Purged(Exception):
    """The turn's conversation, or what it continues, was purged while it ran."""


class _Unkept(Exception):
    """What an answer's head told could not be kept: nothing of the transaction may be, but all of it without that."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What an answer's head told, to be kept whatever becomes of its turn."""

    credential_id: int
    conversation_id: int
    quota: Sequence[QuotaWindow] = ()
    keepsake: Keepsake | None = None

    def write(self, now: datetime) -> None:
        """Into the open transaction. :raises _Unkept: it is to be done again without this, which is not worth a turn."""
        news = quota.news(self.credential_id, self.quota, now) if self.quota else ()
        if self.keepsake is None and not news:
            return
        sql.send_waiting()  # what fails of the turn itself is told here
        try:
            if self.keepsake is not None:
                keepsakes.keep(self.conversation_id, self.credential_id, self.keepsake)
            if news:
                quota.note(self.credential_id, news, now)
        except Error as error:
            log.exception("credential %s: what an answer's head told could not be kept", self.credential_id)
            raise _Unkept from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """A turn that reached its terminal event.

    :param items: the conversation's items before the turn, then its new input.
    :param stored: False where the caller asked that no content be kept.
    :param joined: the named conversation that the turn is part of.
    :param answer: the sealed answer, for the snapshot that is stored.
    :param marks: those of `items` in the turn's conversation, where they are known already.
    """

    terminal: Terminal
    response_id: str
    items: Sequence[JSON]
    continued: Snapshot | None
    stored: bool
    note: SnapshotNote | None
    answer: bytes | None = None
    joined: Joined | None = None
    marks: Sequence[bytes] | None = field(default=None, repr=False)
    learnt: Learnt | None = None


def settle(claim: Claim, outcome: Outcome) -> None:
    """Snapshot, items, exchange and claim, in one transaction; what takes time is done before it begins.

    :raises django.db.Error: nothing was written. :raises Purged: nothing was written, nor shall be.
    """
    exchange, output = claim.exchange, outcome.terminal.output
    added = _addition(claim, outcome)
    issued = content.issued(output)
    compacted = content.compacts(output)
    with transaction.atomic():
        # First of all: it locks the row, so that the turns of a conversation settle one by one.
        current = _touch(claim, outcome, opens_window=compacted)
        place = content.write(added)
        if issued and exchange.credential_id is not None:
            segments.add_provenance(exchange.api_key_id, issued, exchange.credential_id)
        has_ended = exchanges.end(exchange)
        generation = claims.keep(claim)
        # What was asked so far has gone to the database in one piece when the first answer is looked at.
        latest = current()
        if latest is None:
            raise Purged
        own = generation()
        _add_snapshot(claim, outcome, place(), latest if compacted else own, compacted=compacted)
        if outcome.joined is not None:
            conversing.advance(outcome.joined, outcome.response_id, [*outcome.items[outcome.joined.tip.length :], *output])
        if outcome.learnt is not None:
            outcome.learnt.write(exchange.ended_at)
        if has_ended():
            limits.ended(exchange)


def _touch(claim: Claim, outcome: Outcome, *, opens_window: bool) -> Tells[int | None]:
    """Write what the conversation remembers of the turn; tells the number of its current window, None where it was purged.

    :raises Purged: what it continues was purged.
    """
    exchange, note = claim.exchange, outcome.note
    remembered = dict(note.metadata) if note is not None else None
    elsewhere = _elsewhere(claim, outcome.continued)
    # Locks are taken in the order of the conversations' numbers, as a purge takes them.
    comes_first = elsewhere is not None and elsewhere.conversation_id < claim.conversation.pk
    if elsewhere is not None and comes_first and not snapshots.stands(elsewhere.pk):
        raise Purged
    used_at = None if claim.is_first else exchange.started_at  # it was made with that
    current = conversations.touch(claim.conversation.pk, exchange.credential_id, used_at, remembered, opens_window=opens_window)
    if elsewhere is not None and not comes_first and not snapshots.stands(elsewhere.pk):
        raise Purged
    return current


def _elsewhere(claim: Claim, continued: Snapshot | None) -> Snapshot | None:
    """What the turn continues, where that is another conversation's."""
    return continued if continued is not None and continued.conversation_id != claim.conversation.pk else None


def _addition(claim: Claim, outcome: Outcome) -> content.Addition:
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
    return content.addition(conversation.pk, at, new, stored=outcome.stored, issuer=exchange.credential_id)


def _known(claim: Claim, outcome: Outcome) -> content.Place:
    """How far the conversation has the turn's items already."""
    conversation, parent = claim.conversation, outcome.continued
    if parent is not None and _same_ground(parent, conversation, outcome):
        return content.place_of(parent)
    if claim.is_first:
        return content.origin(conversation.pk, stored=outcome.stored)
    return content.longest_prefix(conversation.pk, outcome.items, stored=outcome.stored, chain=outcome.marks)


def _same_ground(parent: Snapshot, conversation: Conversation, outcome: Outcome) -> bool:
    """Can the turn be written right after its parent? Not in another conversation, nor content after mere traces."""
    return parent.conversation_id == conversation.pk and parent.stored == outcome.stored


def _add_snapshot(claim: Claim, outcome: Outcome, place: content.Written, generation: int, *, compacted: bool) -> None:
    exchange = claim.exchange
    snapshots.add(
        response_id=outcome.response_id,
        api_key_id=exchange.api_key_id,
        conversation_id=claim.conversation.pk,
        credential_id=exchange.credential_id,
        exchange_id=exchange.pk,
        parent_id=outcome.continued.pk if outcome.continued is not None else None,
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
        created_at=exchange.ended_at,
        last_used_at=exchange.ended_at,
    )


class _Patience:
    """How long a turn may try to settle: two seconds in which the database takes nothing.

    While it takes other turns of this process, this one has only to wait for its place: when thousands of streams end at once,
    the last of them is stored some seconds after the first. So has a turn whose conversation another transaction holds.
    """

    taken_at = float("-inf")
    """When the database last took a turn of this process, in the clock's monotonic seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._held_up_at = clock.monotonic()
        self._queues = True

    @property
    def left(self) -> float:
        """Seconds."""
        since = max(self._held_up_at, self.taken_at) if self._queues else self._began
        until = min(since + GIVE_UP_AFTER_SECONDS, self._began + _LONGEST_QUEUE_SECONDS)
        return max(0.0, until - self._clock.monotonic())

    def note(self, error: Error) -> None:
        """Whatever is no failure to get a place is this turn's own."""
        self._queues = isinstance(error, OperationalError)
        if is_held_up(error):
            self._held_up_at = self._clock.monotonic()


def settle_within(claim: Claim, outcome: Outcome, clock: Clock) -> bool:
    """Settle, trying again while there is hope; False where the database would not take it.

    A paid turn is never reported as failed: then the caller is told that it was not stored, and the exchange is written as
    soon as it can be.
    """
    patience, failed = _Patience(clock), False
    while True:
        try:
            with waiting_at_most(patience.left):
                if not (failed and snapshots.is_settled(claim.conversation.pk, outcome.response_id)):
                    settle(claim, outcome)
        except Purged:
            leave_unstored(claim, "Completed; its content was purged while it ran, and nothing of it is stored.", clock)
            return False
        except _Unkept:
            outcome = replace(outcome, learnt=None)
        except Error as error:
            failed = True
            patience.note(error)
            if patience.left < _PAUSE_SECONDS:
                log.exception("exchange %s: completed but could not be stored", claim.exchange.request_id)
                leave_unstored(claim, "Completed, but the database would not store it.", clock)
                return False
            clock.sleep(_PAUSE_SECONDS)
        else:
            _Patience.taken_at = clock.monotonic()
            return True
        finally:
            connection.close()


def leave_unstored(claim: Claim, why: str, clock: Clock) -> None:
    """Write, as soon as it can be, that a turn was completed and nothing of it stored; its window stays taken.

    A commit whose answer was lost may have stored it all the same, when the database could not be asked in time: then that
    stands.
    """
    exchange = claim.exchange
    before = exchange.operator_note, exchange.stored
    exchange.operator_note, exchange.stored = why, False

    def write() -> None:
        with transaction.atomic():
            if snapshots.is_settled(claim.conversation.pk, exchange.response_id):
                exchange.operator_note, exchange.stored = before
            elif exchanges.end(exchange)():
                claims.keep(claim)()
                limits.ended(exchange)

    write_later(write, exchange.request_id, clock)


def fail(exchange: Exchange, learnt: Learnt | None, clock: Clock) -> None:
    """Write how the exchange failed and give back what it held; later, where the database won't have it now."""

    is_new = exchange._state.adding

    def write(learnt: Learnt | None = learnt) -> None:
        try:
            with transaction.atomic():
                if learnt is not None and learnt.keepsake is not None:
                    conversations.refer(learnt.conversation_id)  # the keepsake will; conversations come first
                if not exchanges.end(exchange)():
                    return  # written before, by a commit whose answer was lost
                if exchange.continued_id is not None:
                    claims.release(exchange)
                if learnt is not None:
                    learnt.write(clock.now())
                limits.ended(exchange)
        except BaseException as error:
            if is_new:
                exchanges.forget_row(exchange)
            if not isinstance(error, _Unkept):
                raise
            write(None)

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
            exchanges.note_delivery(exchange)
    except Error as error:
        log.warning("exchange %s: %s", exchange.request_id, error)
    finally:
        connection.close()


def write_later(write: Callable[[], None], request_id: str, clock: Clock) -> None:
    """Try `write` again in the background, ever more patiently; what it writes twice must stand there once."""

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

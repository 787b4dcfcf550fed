"""A turn from its acceptance to its end: identify, claim, prepare, stream, settle.

No transaction is open, and no database connection held, while the network is in use.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError

from accounts import choosing, states
from accounts.choosing import Candidates
from accounts.tokens import Held
from floway import sql, transport
from floway.providers import registry
from floway.providers.contract import (
    Action,
    Failure,
    IdentityClaim,
    ProviderRefused,
    ResponsesProvider,
    SnapshotContext,
)
from floway.wire.errors import ApiError, ServiceError, Unavailable, UpstreamFailed
from floway.wire.fold import Echo, Relay, Terminal
from floway.wire.framing import LastPiece
from floway.wire.headers import HeaderLine
from floway.wire.json import JSON, JSONObject
from responses_app import answers, capturing, claims, content, limits, recording, settling
from responses_app.acceptance import Call, CallerLeft, confirm, stand, validated
from responses_app.claims import Claim, LostRace
from responses_app.clock import Clock
from responses_app.dispatching import Dispatcher, error_of
from responses_app.models import Exchange
from responses_app.preparing import Identified, Preparation, refused, seeded
from responses_app.provenance import issuers_of
from responses_app.settling import Outcome
from responses_app.streaming import EndedBy, Ending, Limits, Stream

log = logging.getLogger(__name__)

_CLAIM_TRIES = 4
"""A race over how a conversation begins is lost once; more would be a row that is not what it was written as."""
_NO_COMPACTION = "compaction_missing"
Status = Exchange.Status


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How large a request may be, and how long its turn may last."""

    body_bytes: int
    seconds: int

    @classmethod
    def of_responses(cls) -> TurnLimits:
        """For `/v1/responses`."""
        return cls(settings.FLOWAY_MAX_BODY_BYTES, settings.FLOWAY_MAX_STREAM_SECONDS)

    @classmethod
    def of_compactions(cls) -> TurnLimits:
        """For `/v1/responses/compact`: whole conversations, and no one waits an hour for a summary."""
        return cls(settings.FLOWAY_MAX_COMPACTION_BODY_BYTES, settings.FLOWAY_MAX_COMPACTION_SECONDS)


class Turn:
    """One call being served. `open` brings it to the upstream's answer, then `stream` or `aggregate` to its end."""

    def __init__(self, call: Call, clock: Clock, seconds: int) -> None:
        self.call = call
        self.clock = clock
        self.provider: ResponsesProvider = registry.get(call.key.provider)
        self.response_id = f"resp_{secrets.token_hex(24)}"
        self.store = call.body.get("store") is not False
        self.cancellation = transport.Cancellation()
        self.exchange = recording.begun(call, self.response_id, stored=self.store, seconds=seconds)
        self._capture = capturing.begin(call)
        self._seed = secrets.token_bytes(32)
        self._began = clock.monotonic()
        self._deadline = self._began + seconds
        self._claim: Claim | None = None
        self._marks: list[bytes] | None = None
        self._answered_at: datetime | None = None
        self._kept = False
        self.official_headers: tuple[HeaderLine, ...] = ()
        self.official_events: tuple[JSONObject, ...] = ()
        self._answered: Terminal | None = None

    # --- to the upstream's answer ---

    def open(self) -> None:
        """Validate, claim, prepare and send; returns when the upstream has begun a successful answer.

        :raises ApiError: the turn is over, its exchange written, its claim given back.
        """
        try:
            if self.cancellation.cancelled:
                raise CallerLeft("The caller left before its turn was begun.")
            validated(self.call.body)
            limits.permit(self.call.key, self.call.body["model"])
            self._ground = stand(self.call)
            self._issuers = issuers_of(self.call.key.pk, self._ground.items)
            self._dispatch(self._choose())
        except ApiError as error:
            self._refuse(error)
            raise
        except Exception as error:
            self._refuse(ServiceError("unforeseen", code="internal_error"))
            raise error from None

    def _choose(self) -> Candidates:
        """Claim the turn; returns who may serve it."""
        ground, call = self._ground, self.call
        for _ in range(_CLAIM_TRIES):
            identity = self._identify(ground.recalled)
            if ground.recalled is not None:
                identity = replace(identity, recall_key=None)  # it is known already which conversation this is
            known = claims.known(call.key, identity, ground.continued)
            found = known.conversation
            if found is not None and known.recalled:
                identity = self._identify(found.note)
            preferred = self._issuers.preferred() or (found.credential_id if found is not None else None)
            candidates = choosing.candidates(call.key, preferred, self.clock.now())
            sql.relate(self.exchange, credential=candidates.credentials[0])
            try:
                self._claim = claims.claim_turn(call.key, identity, ground.continued, self.exchange, known)
            except LostRace:
                confirm(ground)
                continue
            recalled = known.recalled and self._claim.conversation is found
            identified = Identified(identity, recalled, self._resumed(identity, self._claim))
            self._preparation = Preparation(self.provider, call, ground, self._claim, identified, self._seed)
            return candidates
        raise Unavailable("Too many requests begin this conversation at once.", retry_after=1)

    def _identify(self, recalled: JSON | None) -> IdentityClaim:
        try:
            return self.provider.identify(
                self._ground.inbound, self._ground.note, recalled, self.call.started_at, seeded(self._seed, "identify")
            )
        except ProviderRefused as refusal:
            raise refused(refusal) from refusal

    def _resumed(self, identity: IdentityClaim, claim: Claim) -> JSON | None:
        """The provider's note on the turn that it asked for, where it is known."""
        if identity.resumed_at is None or claim.is_first:
            return None
        self._marks = content.marks(claim.conversation.pk, self._ground.items, stored=self.store)
        return content.note_of_turn(claim.conversation.pk, self._marks, identity.resumed_at)

    def _dispatch(self, candidates: Candidates) -> None:
        dispatcher = Dispatcher(
            self.provider,
            self.exchange,
            self._preparation,
            self._issuers,
            clock=self.clock,
            cancellation=self.cancellation,
            relay=self._relay,
            accepted=self._began,
            deadline=self._deadline,
            capture=self._capture,
        )
        begun = dispatcher.send(candidates)
        self._answered_at = self.clock.now()
        self._held: Held = begun.held
        self._held_back = begun.answer
        self._keepsake = begun.notes.keepsake
        self.official_headers = begun.notes.for_official_callers
        self.official_events = begun.notes.events_for_official_callers

    @property
    def _learnt(self) -> settling.Learnt | None:
        """What the head of an answer that has begun told; read when it is written, not before the caller's first byte."""
        if self._answered_at is None or self._claim is None:
            return None
        try:
            quota = self.provider.quota(self._held_back.upstream.headers, self._answered_at)
        except Exception:
            log.exception("exchange %s: what its answer tells of quotas cannot be read", self.call.request_id)
            quota = ()
        return settling.Learnt(self._held.account.credential_id, self._claim.conversation.pk, quota, self._keepsake)

    def _note_state(self, failure: Failure) -> None:
        """A failure inside an answer that had begun well says of the login what a refusal says.

        What the database won't hear now is told again by the next failure: no reason to keep the end from the caller.
        """
        credential_id, expected = self._held.account.credential_id, self._held.fingerprint
        try:
            states.failed(credential_id, failure, expected=expected, now=self.clock.now())
        except DatabaseError:
            log.exception("exchange %s: the state of credential %s could not be written", self.call.request_id, credential_id)

    @property
    def is_over(self) -> bool:
        """Is its end written? What is still to be told is the last of it."""
        return self.exchange.status != Status.IN_FLIGHT

    @property
    def remains(self) -> list[JSON] | None:
        """What the conversation consists of after the turn; None where it came to no good end, or to none yet."""
        if self._answered is None:
            return None
        window = content.after_compaction(self._ground.items, self._answered.output)
        return [*self._ground.items, *self._answered.output] if window is None else window

    @property
    def seconds_left(self) -> float:
        """Until the turn's deadline."""
        return max(0.0, self._deadline - self.clock.monotonic())

    @property
    def dropped(self) -> list[str]:
        """Parameters that the upstream does not take."""
        return self._preparation.dropped

    @property
    def standing(self) -> limits.Standing:
        """What is left of the key's budgets."""
        return limits.NO_BUDGETS if self._claim is None else self._claim.standing

    @property
    def left_out(self) -> list[str]:
        """Encrypted items that the login cannot read."""
        return self._preparation.left_out

    # --- to its end ---

    def _relay(self) -> Relay:
        return Relay(
            Echo(
                response_id=self.response_id,
                created_at=int(self.call.started_at.timestamp()),
                request=self.call.body,
                mint=lambda prefix: f"{prefix}_{secrets.token_hex(24)}",
                now=lambda: int(self.clock.now().timestamp()),
            )
        )

    def _stream(self, gone: Callable[[], bool]) -> Stream:
        patience = Limits(keep_alive=settings.FLOWAY_KEEPALIVE_SECONDS, idle=settings.FLOWAY_UPSTREAM_IDLE_SECONDS)
        return Stream(self._held_back, limits=patience, clock=self.clock, deadline=self._deadline, gone=gone)

    def stream(self) -> Generator[bytes, None, None]:
        """The event stream, each piece as soon as it is there. Closing the iterator means that the caller left."""
        pieces = self._streamed()
        return pieces if self._capture is None else self._capture.streamed(pieces, self.exchange)

    def _streamed(self) -> Generator[bytes, None, None]:
        stream = self._stream(lambda: self.cancellation.cancelled)
        last: bytes | None = b""
        try:
            yield from stream.pieces()
            last = self._finish(stream)
            if last is None:
                last = stream.relay.finish(store=None if self._kept or self._answered is None else False)
            if last:
                yield LastPiece(last)
        except GeneratorExit:
            self._abandon(stream, settled=bool(last))
            raise
        except Exception:
            log.exception("exchange %s: unforeseen failure", self.call.request_id)
            yield LastPiece(self._break_off(stream))
        finally:
            self._held_back.upstream.close()

    def _break_off(self, stream: Stream) -> bytes:
        """End a turn that failed for a reason of our own; returns the terminal frame: the upstream's where it had come."""
        last = stream.relay.fail("server_error", "The gateway failed before the answer was complete.")
        last = last or stream.relay.finish(store=None if self._kept else False)
        if self.exchange.status == Status.IN_FLIGHT:
            recording.ended(self.exchange, stream, Ending(EndedBy.GATEWAY), self.clock, self._began)
            self._fail("internal_error", "The gateway failed; the log has the cause.", http_status=200)
        return last

    def aggregate(self) -> JSONObject:
        """The whole response as one object.

        :raises ApiError: it failed.
        """
        return self._aggregated() if self._capture is None else self._capture.whole(self._aggregated, self.exchange)

    def _aggregated(self) -> JSONObject:
        stream = self._stream(lambda: self.cancellation.cancelled)
        try:
            for _ in stream.pieces():
                pass
            self._finish(stream)
        except Exception:
            self._break_off(stream)
            raise
        finally:
            self._held_back.upstream.close()
        terminal = stream.relay.terminal
        if terminal is None or terminal.type == "response.failed":
            raise self._aggregate_error(terminal)
        response = terminal.response if self._kept else {**terminal.response, "store": False}
        return response if self.call.action is Action.GENERATE else self._compacted(terminal)

    def _compacted(self, terminal: Terminal) -> JSONObject:
        """The public API's answer to a compaction: what the conversation consists of from now on.

        :raises UpstreamFailed: the upstream answered with something else.
        """
        window = content.after_compaction(self._ground.items, terminal.output)
        if window is None:
            raise UpstreamFailed("The upstream answered without a compaction.", code=_NO_COMPACTION)
        shown = {key: terminal.response[key] for key in ("id", "created_at", "usage")}
        return {**shown, "object": "response.compaction", "output": window}

    def _aggregate_error(self, terminal: Terminal | None) -> ApiError:
        if terminal is None or terminal.error is None or self.exchange.ended_by != EndedBy.UPSTREAM:
            return Unavailable("The upstream broke off before its answer was complete.", code="server_error", retry_after=1)
        return error_of(self.provider.classify_event(terminal.error))

    def _finish(self, stream: Stream) -> bytes | None:
        """Settle or fail the turn; returns how a stream ends that has no terminal event, None where there is one to be told."""
        relay = stream.relay
        recording.ended(self.exchange, stream, stream.ending, self.clock, self._began)
        terminal = relay.terminal
        if terminal is None:
            code = "server_error"
            last = relay.fail(code, "The upstream broke off before its answer was complete.")
            self._fail(code, stream.ending.detail, http_status=200)
            return b"" if stream.ending.by is EndedBy.CALLER else last
        if terminal.type == "response.failed":
            failure = self.provider.classify_event(terminal.error)
            self.exchange.operator_note = failure.operator[:1000]
            self._note_state(failure)
            self._fail(failure.code or "server_error", failure.message, http_status=200)
        elif self.call.action is Action.COMPACT and not content.compacts(terminal.output):
            recording.used(self.exchange, terminal)
            self._fail(_NO_COMPACTION, "The upstream answered without a compaction.", http_status=UpstreamFailed.status)
        else:
            self._kept = self._settle(terminal)
        return None

    def _settle(self, terminal: Terminal) -> bool:
        assert self._claim is not None  # noqa: S101 - it was opened
        recording.completed(self.exchange, terminal)
        self._answered = terminal
        try:
            return settling.settle_within(self._claim, self._outcome(terminal, self._claim), self.clock)
        except Exception:
            # Whatever it is, the turn was paid for and its answer is whole.
            log.exception("exchange %s: completed, but settling failed unforeseen", self.call.request_id)
            settling.leave_unstored(self._claim, "Completed, but settling failed; the log has the cause.", self.clock)
            return False

    def _outcome(self, terminal: Terminal, claim: Claim) -> Outcome:
        note = self.provider.before_responses_snapshot_commit(
            SnapshotContext(
                attempt_id=self.call.request_id,
                carry=self._preparation.carry,
                output=terminal.output,
                upstream_headers=self._held_back.upstream.headers,
                generation=claim.generation,
            )
        )
        return Outcome(
            terminal=terminal,
            response_id=self.response_id,
            items=self._ground.items,
            continued=self._ground.continued,
            stored=self.store,
            note=note,
            joined=self._ground.joined,
            marks=self._marks,
            answer=self._answer(terminal) if self.store else None,
            learnt=self._learnt,
        )

    def _answer(self, terminal: Terminal) -> bytes:
        ground = self._ground
        return answers.sealed(self.response_id, terminal.response, ground.items, ground.inbound.continued_items)

    def _abandon(self, stream: Stream, *, settled: bool) -> None:
        """The caller left while something was being written to it."""
        if settled and self.exchange.status in {Status.COMPLETED, Status.INCOMPLETE}:
            self.exchange.ended_by = EndedBy.UNDELIVERED
            settling.note_delivery(self.exchange)
        elif self.exchange.status == Status.IN_FLIGHT:
            self.cancellation.cancel()
            recording.ended(self.exchange, stream, Ending(EndedBy.CALLER), self.clock, self._began)
            self._fail("caller_left", "", http_status=200)

    def _fail(self, code: str, message: str, *, http_status: int) -> None:
        recording.failed(self.exchange, code, message, http_status=http_status)
        settling.fail(self.exchange, self._learnt, self.clock)

    def _refuse(self, error: ApiError) -> None:
        """The turn ended before the upstream began an answer."""
        recording.refused(self.exchange, error, self.clock, self._began, cancelled=self.cancellation.cancelled)
        settling.fail(self.exchange, self._learnt, self.clock)
        if self._capture is not None:
            self._capture.refused(error)
            self._capture.write(self.exchange)

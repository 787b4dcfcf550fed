"""A turn sent upstream: to one login after the other until one of them begins an answer, and never to another after that.

Which failures are another login's chance, and which are not, stands in one table here. A conversation is moved only as far
as its ciphertext allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from accounts import cooling, discovery, states, tokens
from accounts.choosing import Candidates
from accounts.models import OAuthCredential
from accounts.tokens import Held
from floway import transport
from floway.providers.contract import (
    Account,
    AccountUnusable,
    AnswerNotes,
    Failure,
    FailureKind,
    QuotaWindow,
    ResponsesProvider,
    UpstreamRefused,
    UpstreamResponse,
    UpstreamUnreachable,
)
from floway.wire.errors import ApiError, Unavailable
from floway.wire.fold import Relay
from responses_app.capturing import Capture
from responses_app.clock import Clock
from responses_app.holding import HeldBack
from responses_app.models import Exchange
from responses_app.preparing import Preparation
from responses_app.provenance import Issuers, compaction_positions, encrypted_reasoning

_LARGEST_REFUSAL = 64 * 1024
_REFUSAL_SECONDS = 10
_RETRY_AFTER_SECONDS = 5
_PAUSE_SECONDS = 0.5
_Kind = FailureKind

_LIMITS = frozenset({_Kind.USAGE_LIMIT, _Kind.RATE_LIMITED})
_DEAD = frozenset({_Kind.NEEDS_SIGN_IN, _Kind.STALE_TOKEN})
_ANOTHERS_CHANCE = frozenset({_Kind.UPSTREAM, _Kind.OVERLOADED, _Kind.EDGE_BLOCKED, *_DEAD})
_LASTING = frozenset({_Kind.USAGE_LIMIT, *_DEAD})
"""Failures worth leaving out another login's reasoning for; the others pass sooner than the model has thought anew."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that has begun, the login it came to, and what its head told."""

    answer: HeldBack
    held: Held
    notes: AnswerNotes


@dataclass(frozen=True, slots=True)
class Miss:
    """A login that did not serve the turn.

    :param error: what the caller is told if nobody does. :param begun: a failed answer to be told as it is, instead.
    :param again: the same login may be tried once more. :param ended_by: who ends the turn if it is the last word.
    """

    kind: FailureKind
    error: ApiError
    begun: Begun | None = None
    again: bool = False
    ended_by: Exchange.EndedBy = Exchange.EndedBy.REFUSED


class Dispatcher:
    """Sends one turn.

    :param accepted, deadline: on the clock's monotonic time; no dispatch begins after the deadline.
    :param relay: makes one for an answer. :param capture: overhears what goes out and what comes back.
    """

    def __init__(
        self,
        provider: ResponsesProvider,
        exchange: Exchange,
        preparation: Preparation,
        issuers: Issuers,
        *,
        clock: Clock,
        cancellation: transport.Cancellation,
        relay: Callable[[], Relay],
        accepted: float,
        deadline: float,
        capture: Capture | None,
    ) -> None:
        self._capture = capture
        self._provider = provider
        self._exchange = exchange
        self._preparation = preparation
        self._issuers = issuers
        self._clock = clock
        self._cancellation = cancellation
        self._relay = relay
        self._accepted = accepted
        self._deadline = deadline

    # --- from login to login ---

    def send(self, candidates: Candidates) -> Begun:
        """The first answer that begins, or the failed one that is the last word.

        :raises ApiError: nobody began one.
        """
        waiting, resting = deque(candidates.credentials), list[OAuthCredential]()
        miss: Miss | None = None
        last: OAuthCredential | None = None
        tries = 0
        while tries < settings.FLOWAY_MAX_DISPATCHES and self._clock.monotonic() < self._deadline:
            credential = self._next(waiting, resting, miss, candidates) or (last if miss is not None and miss.again else None)
            if credential is None:
                break
            if credential is last:
                connection.close()
                self._clock.sleep(_PAUSE_SECONDS)
            self._let_go(miss)
            tries, last, miss = tries + 1, credential, None
            outcome = self._try(credential)
            if isinstance(outcome, Begun):
                self._exchange.operator_note = ""
                return outcome
            miss = outcome
            if self._cancellation.cancelled or not self._is_anothers_chance(miss, candidates):
                break
        if miss is None:
            raise cooling.limited(resting, self._clock.now()) if resting else tokens.unavailable()
        if miss.begun is not None:
            return miss.begun
        self._exchange.ended_by = miss.ended_by
        raise miss.error

    def _next(
        self, waiting: deque[OAuthCredential], resting: list[OAuthCredential], miss: Miss | None, candidates: Candidates
    ) -> OAuthCredential | None:
        """The next login that may take the turn, its ciphertext seen to; whoever rests is passed over and noted."""
        while waiting:
            credential = waiting.popleft()
            first = miss is None and not resting
            if not self._can_read(credential, miss, first=first):
                continue
            if cooling.admits(credential, self._clock.now()):
                return credential
            resting.append(credential)
            self._note(credential, "resting", credential.state_reason, None)
            limited = credential.state == OAuthCredential.State.RATE_LIMITED
            if first and limited and not candidates.moves_on:
                waiting.clear()
        return None

    def _can_read(self, credential: OAuthCredential, miss: Miss | None, *, first: bool) -> bool:
        """Leave out what the login cannot read; False where that is too much to leave out.

        :raises ApiError: a compaction that only another login can read, and there is no failure to tell of instead.
        """
        try:
            foreign = self._issuers.foreign_to(credential.pk)
        except ApiError:
            if first:
                raise
            return False
        if foreign and miss is not None and miss.kind not in _LASTING:
            return False
        self._preparation.leave_out(foreign)
        return True

    def _is_anothers_chance(self, miss: Miss, candidates: Candidates) -> bool:
        return miss.kind in _ANOTHERS_CHANCE or (candidates.moves_on and miss.kind in _LIMITS)

    def _let_go(self, miss: Miss | None) -> None:
        if miss is not None and miss.begun is not None:
            miss.begun.answer.upstream.close()

    # --- one login ---

    def _try(self, credential: OAuthCredential) -> Begun | Miss:
        self._exchange.credential = credential
        began = self._clock.monotonic()
        try:
            held = tokens.fresh(credential, self._clock.now())
            with transport.cancellable(self._cancellation):
                return self._dispatch(credential, discovery.informed(credential, held, self._clock.now()))
        except AccountUnusable as unusable:
            miss = Miss(_Kind.NEEDS_SIGN_IN, tokens.unavailable(), ended_by=Exchange.EndedBy.GATEWAY)
            outcome, detail = "unusable", str(unusable)
        except UpstreamRefused as refused:
            return self._missed(credential, None, refused.failure, (), began)
        except UpstreamUnreachable as error:
            miss = Miss(_Kind.UPSTREAM, _unreachable(), ended_by=Exchange.EndedBy.UNREACHED)
            outcome, detail = "unreachable", f"No answer from the upstream: {error}"
        except Unavailable as error:
            miss = Miss(_Kind.STALE_TOKEN, error, ended_by=Exchange.EndedBy.GATEWAY)
            outcome, detail = "unusable", "Its access token could not be refreshed."
        except ApiError:
            cooling.give_back(credential)
            raise
        cooling.give_back(credential)
        self._exchange.operator_note = detail[:1000]
        self._note(credential, outcome, detail, began)
        return miss

    def _dispatch(self, credential: OAuthCredential, held: Held) -> Begun | Miss:
        began = self._clock.monotonic()
        upstream = self._send(held.account)
        failure = self._failure(upstream)
        if failure is not None and failure.kind is _Kind.STALE_TOKEN:
            self._note(credential, failure.code or "stale", failure.operator, began)
            held = discovery.told(tokens.refresh(held), held.account.facts)
            began = self._clock.monotonic()
            upstream = self._send(held.account)
            failure = self._failure(upstream)
        if failure is not None and failure.kind is _Kind.ENCRYPTED_CONTENT and self._leave_out_reasoning():
            self._note(credential, failure.code or "unreadable", failure.operator, began)
            began = self._clock.monotonic()
            upstream = self._send(held.account)
            failure = self._failure(upstream)
        notes = self._provider.read_answer(self._preparation.carry, upstream.headers)
        self._exchange.upstream_ids = dict(notes.ids)
        if failure is not None:
            windows = self._provider.quota(upstream.headers, self._clock.now())
            return self._missed(credential, held, failure, windows, began)
        if states.succeeded(credential):
            connection.close()
        return self._begun(credential, Begun(HeldBack(upstream, self._relay()), held, notes), began)

    def _begun(self, credential: OAuthCredential, begun: Begun, began: float) -> Begun | Miss:
        begun.answer.look(self._clock, settings.FLOWAY_HOLD_BACK_SECONDS)
        if begun.answer.cut is not None:
            self._note(credential, "cut", str(begun.answer.cut), began)
            return Miss(_Kind.UPSTREAM, _unreachable(), begun)
        if begun.answer.error is None:
            self._note(credential, "answered", "", began)
            return begun
        failure = self._provider.classify_event(begun.answer.error)
        self._note(credential, failure.code or failure.kind.value, failure.operator, began)
        if failure.kind in _LIMITS:
            begun.answer.upstream.close()
            cooling.refused(credential, begun.held.fingerprint, failure, (), self._clock.now())
            self._exchange.operator_note = failure.operator[:1000]
            return Miss(failure.kind, error_of(failure))
        return Miss(failure.kind, error_of(failure), begun, again=failure.kind is _Kind.OVERLOADED)

    def _leave_out_reasoning(self) -> bool:
        """Ciphertext that the upstream cannot read: once more without the reasoning, unless a compaction is among it."""
        items = self._preparation.items
        reasoning = encrypted_reasoning(items)
        if any(True for _ in compaction_positions(items)) or not reasoning or self._preparation.left_out:
            return False
        self._preparation.leave_out(reasoning)
        return True

    def _send(self, account: Account) -> UpstreamResponse:
        prepared = self._preparation.prepare(account)
        connection.close()
        self._exchange.dispatches += 1
        if self._capture is None:
            return self._provider.stream(prepared.request, account)
        self._capture.sent(prepared.request, account)
        return self._capture.overheard(self._provider.stream(prepared.request, account))

    def _failure(self, upstream: UpstreamResponse) -> Failure | None:
        """The classified refusal, its body read and its connection let go of; None for success."""
        if 200 <= upstream.status < 300:
            return None
        body = upstream.read_all(_LARGEST_REFUSAL, _REFUSAL_SECONDS)
        upstream.close()
        return self._provider.classify_failure(upstream.status, upstream.headers, body, self._clock.now())

    def _missed(
        self,
        credential: OAuthCredential,
        held: Held | None,
        failure: Failure,
        windows: Sequence[QuotaWindow],
        began: float,
    ) -> Miss:
        self._exchange.operator_note = failure.operator[:1000]
        self._note(credential, failure.code or failure.kind.value, failure.operator, began)
        expected = held.fingerprint if held is not None else bytes(credential.tokens.refresh_fingerprint)
        cooling.refused(credential, expected, failure, windows, self._clock.now())
        return Miss(failure.kind, tokens.unavailable() if failure.kind in _DEAD else error_of(failure))

    def _note(self, credential: OAuthCredential, outcome: str, detail: str, began: float | None) -> None:
        now = self._clock.monotonic()
        took = 0 if began is None else round((now - began) * 1000)
        self._exchange.attempts = [
            *(self._exchange.attempts or []),
            {
                "credential_id": credential.pk,
                "credential": str(credential)[:128],
                "outcome": outcome[:128],
                "detail": detail[:500],
                "at": max(0, round((now - self._accepted) * 1000) - took),
                "ms": max(0, took),
            },
        ]


def _unreachable() -> ApiError:
    return Unavailable("The upstream gave no answer.", code="upstream_unreachable", retry_after=_RETRY_AFTER_SECONDS)


def error_of(failure: Failure) -> ApiError:
    """A failure of the upstream's as the caller is told it."""
    return ApiError(
        failure.message,
        status=failure.status,
        type=failure.type,
        code=failure.code,
        param=failure.param,
        retry_after=failure.retry_after,
        permanent=failure.permanent,
        details=failure.details,
    )

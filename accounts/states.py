"""The state machine of a credential: what each outcome of an upstream call makes of it, why, until when, and what to do.

Every call feeds it: turns, catalogues, refreshes. The table below is the whole of it. Timed states lapse by the clock. A
refusal in front of the service is no failure of the account: it is held, a little longer each time, and never condemned.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from django.conf import settings
from django.db import transaction

from accounts.models import OAuthCredential
from floway.providers.contract import Failure, FailureKind

log = logging.getLogger(__name__)
State = OAuthCredential.State


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a timed state lasts, in seconds.

    :param first: where the answer doesn't say. :param most: neither growth nor an answer holds a credential for longer.
    :param grows: doubles each time, until something succeeds.
    """

    first: int
    most: int
    grows: bool


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an outcome leads; `spent` says that the account has a reset to wait for."""

    to: OAuthCredential.State
    hold: Hold | None = None
    spent: bool = False


TABLE: Mapping[FailureKind, Transition] = MappingProxyType(
    {
        FailureKind.NEEDS_SIGN_IN: Transition(State.NEEDS_SIGN_IN),
        # A token that is refused although it was just refreshed: the authority vouched for the login a moment ago, so it is
        # the service that errs. No person is asked to sign in for that.
        FailureKind.STALE_TOKEN: Transition(State.RATE_LIMITED, Hold(first=60, most=900, grows=True)),
        FailureKind.RATE_LIMITED: Transition(State.RATE_LIMITED, Hold(first=10, most=300, grows=False)),
        # Resets come early, and some never come: not for longer than the environment says, then one request finds out.
        FailureKind.USAGE_LIMIT: Transition(
            State.RATE_LIMITED, Hold(first=900, most=settings.FLOWAY_MAX_COOLDOWN_SECONDS, grows=False), spent=True
        ),
        FailureKind.EDGE_BLOCKED: Transition(State.EDGE_BLOCKED, Hold(first=60, most=900, grows=True)),
    }
)
"""What is not here changes nothing: the request's fault, the service's, or one that passes."""

LEAVES: Mapping[OAuthCredential.State, frozenset[OAuthCredential.State]] = MappingProxyType(
    {
        State.ACTIVE: frozenset({State.RATE_LIMITED, State.EDGE_BLOCKED, State.NEEDS_SIGN_IN}),
        State.RATE_LIMITED: frozenset({State.ACTIVE, State.RATE_LIMITED, State.EDGE_BLOCKED, State.NEEDS_SIGN_IN}),
        State.EDGE_BLOCKED: frozenset({State.ACTIVE, State.RATE_LIMITED, State.EDGE_BLOCKED, State.NEEDS_SIGN_IN}),
        # A person leads out of these two.
        State.NEEDS_SIGN_IN: frozenset(),
        State.DISABLED: frozenset(),
    }
)
"""Which states an outcome may lead to from which."""

ADVICE: Mapping[OAuthCredential.State, str] = MappingProxyType(
    {
        State.ACTIVE: "",
        State.RATE_LIMITED: "Nothing: it is used again when the hold ends.",
        State.EDGE_BLOCKED: "Look at the network that this gateway calls from: the account was not even looked at. "
        "It is tried again when the hold ends.",
        State.NEEDS_SIGN_IN: "Sign in again: row, device id and conversations stay.",
        State.DISABLED: "Enable it when it shall be used again.",
    }
)
"""What the operator should do."""


def failed(credential_id: int, failure: Failure, *, expected: bytes, now: datetime) -> None:
    """An upstream call with this credential was refused.

    :param expected: the fingerprint of the refresh token it was made with: a sign-in meanwhile is not condemned for it.
    """
    reset = failure.resets_at - now if failure.resets_at is not None else None
    told = reset if reset is not None else timedelta(seconds=failure.retry_after or 0)
    outcome(credential_id, failure.kind, failure.operator, expected=expected, now=now, told=told)


def outcome(
    credential_id: int,
    kind: FailureKind,
    reason: str,
    *,
    expected: bytes,
    now: datetime,
    told: timedelta = timedelta(0),
) -> None:
    """Go where the table leads; see `failed`. :param told: how long the answer asked to wait, zero if it didn't."""
    transition = TABLE.get(kind)
    if transition is None:
        return
    with transaction.atomic():
        rows = OAuthCredential.objects.filter(pk=credential_id, tokens__refresh_fingerprint=expected)
        for credential in rows.select_for_update(of=("self",)):
            _go(credential, transition, reason, now, told)


def _go(credential: OAuthCredential, transition: Transition, reason: str, now: datetime, told: timedelta) -> None:
    if transition.to not in LEAVES[State(credential.state)]:
        return
    until = None
    if transition.hold is not None:
        asked = int(told.total_seconds())
        credential.hold_seconds = _length(transition.hold, credential.hold_seconds, asked)
        until = now + timedelta(seconds=credential.hold_seconds)
        if credential.standing(now) == transition.to and credential.state_until is not None:
            until = max(until, credential.state_until)
    log.warning("credential %s: %s: %s", credential.pk, transition.to.label, reason)
    resets_at = now + told if told and transition.spent else until if transition.spent else None
    credential.enter(transition.to, reason, until=until, resets_at=resets_at)


def _length(hold: Hold, last: int, asked: int) -> int:
    grown = last * 2 if hold.grows and last else hold.first
    return max(1, min(hold.most, asked if asked > 0 else grown))


def succeeded(credential: OAuthCredential) -> bool:
    """An upstream call with this credential, as it was read before the call, was answered: a hold it was under is over.

    Was there anything to write?
    """
    if credential.state not in State.timed() and not credential.hold_seconds:
        return False
    with transaction.atomic():
        rows = OAuthCredential.objects.filter(pk=credential.pk, state__in=[State.ACTIVE, *State.timed()])
        for row in rows.filter(state_since__lte=credential.state_since).select_for_update():
            row.hold_seconds = 0
            row.enter(State.ACTIVE, "")
    return True

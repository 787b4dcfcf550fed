"""The state machine of a credential, outcome by outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from accounts import states, tokens
from accounts.models import OAuthCredential
from floway.providers.contract import Failure, FailureKind
from tests.fakes.factories import make_credential

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
State = OAuthCredential.State


def meets(kind: FailureKind, *, now: datetime = NOW, retry_after: int | None = None, resets_at: datetime | None = None) -> None:
    """The one credential's call is refused so."""
    failure = Failure(kind, 500, None, "x", "told", "why", retry_after=retry_after, resets_at=resets_at)
    credential = OAuthCredential.objects.select_related("tokens").get()
    states.failed(credential.pk, failure, expected=tokens.held(credential).fingerprint, now=now)


def row() -> OAuthCredential:
    return OAuthCredential.objects.get()


def held() -> timedelta | None:
    until = row().state_until
    return until - NOW if until else None


@pytest.mark.parametrize("kind", FailureKind)
def test_every_outcome_leads_where_the_table_says(kind: FailureKind) -> None:
    make_credential()
    meets(kind)
    transition = states.TABLE.get(kind)
    assert row().state == (transition.to if transition else State.ACTIVE)
    assert (row().state_until is not None) == bool(transition and transition.hold)
    assert row().state_reason == ("why" if transition else "")
    assert bool(states.ADVICE[State(row().state)]) == bool(transition)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", sorted(states.TABLE, key=str))
def test_only_a_person_leads_out_of_a_dead_or_disabled_login(state: State, kind: FailureKind) -> None:
    make_credential(state=state, state_until=NOW + timedelta(hours=1) if state in State.timed() else None)
    meets(kind)
    assert row().state in {state, *states.LEAVES[state]}
    if state in {State.NEEDS_SIGN_IN, State.DISABLED}:
        assert row().state == state


def test_a_rate_limit_lasts_as_long_as_it_says_and_no_longer_than_the_cap() -> None:
    make_credential()
    meets(FailureKind.RATE_LIMITED, retry_after=7)
    assert held() == timedelta(seconds=7)
    meets(FailureKind.RATE_LIMITED, retry_after=90_000)
    assert held() == timedelta(seconds=300)


def test_a_spent_allowance_rests_no_longer_than_the_environment_allows() -> None:
    make_credential()
    meets(FailureKind.USAGE_LIMIT, resets_at=NOW + timedelta(days=6))
    assert held() == timedelta(hours=6)
    assert row().resets_at == NOW + timedelta(days=6)


def test_an_edge_block_grows_until_something_succeeds_and_never_condemns() -> None:
    make_credential()
    now, seen = NOW, []
    for _ in range(6):
        meets(FailureKind.EDGE_BLOCKED, now=now)
        until = row().state_until
        assert until is not None
        seen.append((until - now).total_seconds())
        now = until + timedelta(seconds=1)
    assert seen == [60, 120, 240, 480, 900, 900]
    states.succeeded(row())
    assert (row().state, row().hold_seconds, row().state_until) == (State.ACTIVE, 0, None)
    meets(FailureKind.EDGE_BLOCKED)
    assert held() == timedelta(seconds=60)


def test_a_timed_state_lapses_by_the_clock() -> None:
    credential, now = make_credential(), datetime.now(UTC)
    meets(FailureKind.EDGE_BLOCKED, now=now)
    assert not OAuthCredential.objects.usable().exists()
    assert row().standing(now) == State.EDGE_BLOCKED
    OAuthCredential.objects.filter(pk=credential.pk).update(state_until=NOW - timedelta(seconds=1))
    assert OAuthCredential.objects.usable().exists()
    assert row().standing(NOW) == State.ACTIVE


def test_a_success_that_began_before_a_failure_does_not_undo_it() -> None:
    make_credential()
    before = row()
    before.hold_seconds = 60
    meets(FailureKind.EDGE_BLOCKED)
    states.succeeded(before)
    assert row().state == State.EDGE_BLOCKED


def test_a_success_of_a_credential_that_is_well_writes_nothing(django_assert_num_queries: object) -> None:
    make_credential()
    credential = row()
    with django_assert_num_queries(0):
        states.succeeded(credential)


def test_a_login_that_was_replaced_meanwhile_is_not_condemned() -> None:
    credential = make_credential()
    failure = Failure(FailureKind.NEEDS_SIGN_IN, 401, None, "x", "told", "why")
    states.failed(credential.pk, failure, expected=b"another", now=NOW)
    assert row().state == State.ACTIVE

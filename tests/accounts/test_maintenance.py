"""The maintenance loop: what is due, who does it, what is left for the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from accounts import maintenance, quarantine, tokens
from accounts.models import CredentialTokens, OAuthCredential, Upkeep
from floway.providers.contract import TokenGrant
from tests.fakes.factories import make_credential
from tests.fakes.tokens import ALICE, BOB, LONG_FROM_NOW
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)
IN_AN_HOUR = int(NOW.timestamp()) + 3600


@pytest.fixture(autouse=True)
def nothing_on_disk() -> Iterator[None]:
    yield
    for pair in list(quarantine.waiting()):
        quarantine.forget(*pair)


def aged(credential: OAuthCredential, days: int = 9) -> OAuthCredential:
    """Refreshed some days ago."""
    CredentialTokens.objects.filter(pk=credential.pk).update(refreshed_at=NOW - timedelta(days=days))
    return credential


def row(credential: OAuthCredential) -> CredentialTokens:
    return CredentialTokens.objects.get(pk=credential.pk)


def once() -> bool:
    holder = maintenance.new_holder()
    try:
        return maintenance.once(holder)
    finally:
        maintenance.release(holder)


def test_a_login_is_refreshed_before_its_token_ends_and_others_are_left_alone(upstream: FakeUpstream) -> None:
    ending, fine = aged(make_credential(expires_at=IN_AN_HOUR)), aged(make_credential(BOB, expires_at=LONG_FROM_NOW))
    assert once()
    assert upstream.exchanges == [ALICE.refresh_token(0)]
    body = next(request for request in upstream.requests if request.path == "/oauth/token").json
    assert body["refresh_reason"] == "proactive_expiry"
    assert row(ending).refreshed_at > NOW
    assert row(fine).refreshed_at < NOW
    once()
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize("state", ["needs_sign_in", "disabled"])
def test_dead_and_disabled_logins_are_not_refreshed(upstream: FakeUpstream, state: str) -> None:
    aged(make_credential(expires_at=IN_AN_HOUR, state=state))
    once()
    assert upstream.exchanges == []


def test_a_held_login_is_kept_fresh_all_the_same(upstream: FakeUpstream) -> None:
    aged(make_credential(expires_at=IN_AN_HOUR, state="edge_blocked", state_until=NOW + timedelta(hours=1)))
    once()
    assert len(upstream.exchanges) == 1
    assert OAuthCredential.objects.get().state == "edge_blocked"


def test_a_short_token_is_not_refreshed_for_most_of_its_life(upstream: FakeUpstream) -> None:
    make_credential(expires_at=IN_AN_HOUR)
    once()
    assert upstream.exchanges == []


def test_a_refresh_that_fails_waits_longer_each_time_while_the_token_lasts(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = aged(make_credential(expires_at=IN_AN_HOUR))
    error = {"error": {"code": "temporarily_unavailable", "message": "later"}}
    monkeypatch.setattr(upstream, "_token", lambda exchange: exchange.answer_json(500, error))
    waits = []
    for _ in range(4):
        CredentialTokens.objects.update(retry_refresh_at=None)
        once()
        retry_at = row(credential).retry_refresh_at
        assert retry_at is not None
        waits.append(round((retry_at - datetime.now(UTC)).total_seconds()))
    assert waits[0] <= 0
    assert waits[1:] == sorted(waits[1:])
    assert waits[3] > waits[1]
    assert "temporarily_unavailable" in row(credential).refresh_failure
    assert OAuthCredential.objects.get().state == "active"
    tried = sum(request.path == "/oauth/token" for request in upstream.requests)
    once()
    assert sum(request.path == "/oauth/token" for request in upstream.requests) == tried


def test_an_edge_page_instead_of_a_refresh_holds_a_login_that_has_run_out(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(make_credential(expires_at=int(NOW.timestamp()) - 60))
    monkeypatch.setattr(upstream, "_token", lambda exchange: exchange.answer(403, b"<html>blocked</html>"))
    once()
    assert OAuthCredential.objects.get().state == "edge_blocked"


def test_one_process_at_a_time_comes_round(upstream: FakeUpstream) -> None:
    first, second = maintenance.new_holder(), maintenance.new_holder()
    assert maintenance.once(first)
    assert not maintenance.once(second)
    assert maintenance.once(first)
    Upkeep.objects.update(lease_until=NOW - timedelta(seconds=1))
    assert maintenance.once(second)
    maintenance.release(second)
    assert maintenance.once(first)


def test_a_job_that_fails_does_not_keep_the_others_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def broken(_: str) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(maintenance, "JOBS", (broken, ran.append))
    assert once()
    assert len(ran) == 1
    assert not maintenance.is_late(datetime.now(UTC))


def test_the_loop_comes_round_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(maintenance, "JOBS", (lambda _: stop.set(),))
    maintenance.run(stop, maintenance.new_holder())
    assert Upkeep.objects.get().holder == ""


def test_it_is_late_when_it_has_not_come_round_for_minutes() -> None:
    assert maintenance.is_late(NOW)
    once()
    assert not maintenance.is_late(datetime.now(UTC))
    assert maintenance.is_late(datetime.now(UTC) + timedelta(minutes=6))


def test_a_pair_in_quarantine_is_adopted_and_revives_a_login_given_up_for_want_of_it(upstream: FakeUpstream) -> None:
    credential = make_credential(state="needs_sign_in", state_reason="refresh_token_reused")
    consumed = tokens.fingerprint(ALICE.refresh_token(0))
    grant = TokenGrant(ALICE.access_token(LONG_FROM_NOW, 1), ALICE.refresh_token(1), None, NOW + timedelta(days=9))
    assert quarantine.keep(credential.pk, consumed, grant)
    assert ALICE.refresh_token(1) not in repr(grant)
    CredentialTokens.objects.update(lease_holder="living", lease_until=datetime.now(UTC) + timedelta(minutes=10))
    once()
    assert list(quarantine.waiting()), "whoever had it is still at it"
    CredentialTokens.objects.update(lease_until=NOW - timedelta(seconds=1))
    once()
    assert tokens.held(OAuthCredential.objects.select_related("tokens").get()).refresh_token == ALICE.refresh_token(1)
    assert OAuthCredential.objects.get().state == "active"
    assert not list(quarantine.waiting())
    assert upstream.exchanges == []


def test_a_pair_of_a_login_that_was_replaced_is_thrown_away() -> None:
    credential = make_credential(serial=5)
    grant = TokenGrant("access", "refresh", None, None)
    quarantine.keep(credential.pk, tokens.fingerprint(ALICE.refresh_token(0)), grant)
    once()
    assert tokens.held(OAuthCredential.objects.select_related("tokens").get()).refresh_token == ALICE.refresh_token(5)
    assert not list(quarantine.waiting())


def test_what_lies_in_quarantine_is_sealed_and_its_owners_alone() -> None:
    consumed = b"c" * 32
    quarantine.keep(1, consumed, TokenGrant("access-secret", "refresh-secret", None, None))
    path = quarantine._path(1, consumed)
    assert b"secret" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    path.rename(quarantine._path(2, consumed))
    assert quarantine.find(2, consumed) is None
    quarantine.forget(2, consumed)


def test_the_command_comes_round_once_for_cron(upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    aged(make_credential(expires_at=IN_AN_HOUR))
    call_command("maintain", "--once")
    assert capsys.readouterr().out == "done\n"
    assert len(upstream.exchanges) == 1
    holder = maintenance.new_holder()
    maintenance.renew(holder)
    call_command("maintain", "--once")
    assert "another process" in capsys.readouterr().out

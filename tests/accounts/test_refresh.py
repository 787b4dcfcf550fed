"""One refresh token, many who want it fresh: exchanged once, and nobody is harmed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings

from accounts import tokens
from accounts.models import CredentialTokens, OAuthCredential
from floway.providers import registry
from floway.providers.contract import Account, RefreshRefused, TokenGrant, UpstreamUnreachable
from floway.wire.errors import Unavailable

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


class Authority:
    """A provider that does nothing but exchange single-use refresh tokens."""

    slug = "authority"

    def __init__(self, slug: str) -> None:
        self.valid = "refresh-0"
        self.exchanges = 0
        self.before: Callable[[], None] = lambda: None
        self.refusal: Exception | None = None
        self._lock = threading.Lock()

    def refresh(self, account: Account, refresh_token: str, *, refused: bool = False) -> TokenGrant:
        assert not connection.in_atomic_block
        self.before()
        if self.refusal is not None:
            raise self.refusal
        with self._lock:
            if refresh_token != self.valid:
                raise RefreshRefused("refresh_token_reused", "used before", terminal=True)
            self.exchanges += 1
            self.valid = f"refresh-{self.exchanges}"
            return TokenGrant(f"access-{self.exchanges}", self.valid, None, NOW + timedelta(hours=1))


@pytest.fixture
def authority() -> Iterator[Authority]:
    with override_settings(FLOWAY_PROVIDERS={"authority": {"class": "tests.accounts.test_refresh.Authority"}}):
        registry.forget()
        yield registry.get("authority")
    registry.forget()


@pytest.fixture
def credential(authority: Authority) -> OAuthCredential:
    return make_credential(NOW - timedelta(minutes=1))


def make_credential(expires_at: datetime) -> OAuthCredential:
    made = OAuthCredential.objects.create(provider="authority", subject="s", account_id="a")
    grant = TokenGrant("access-0", "refresh-0", "id-0", expires_at)
    CredentialTokens.objects.create(credential=made, **tokens.sealed_columns(made.pk, grant))
    return made


def reread(credential: OAuthCredential) -> OAuthCredential:
    return OAuthCredential.objects.select_related("tokens").get(pk=credential.pk)


def test_a_stale_token_is_refreshed_before_use_and_committed_first(authority: Authority, credential: OAuthCredential) -> None:
    held = tokens.fresh(reread(credential), NOW)
    assert held.account.access_token == "access-1"
    assert tokens.held(reread(credential)) == held
    assert tokens.held(reread(credential)).refresh_token == "refresh-1"
    assert tokens.fresh(reread(credential), NOW) == held
    assert authority.exchanges == 1


def test_many_at_once_make_one_exchange_and_all_get_its_token(authority: Authority, credential: OAuthCredential) -> None:
    together = threading.Barrier(8)
    got: list[str] = []

    def want() -> None:
        current = reread(credential)
        connection.close()
        together.wait(30)
        got.append(tokens.fresh(current, NOW).account.access_token)
        connection.close()

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == ["access-1"] * 8
    assert authority.exchanges == 1


def test_a_refusal_that_is_final_says_why_and_needs_a_sign_in(authority: Authority, credential: OAuthCredential) -> None:
    authority.refusal = RefreshRefused("refresh_token_reused", "used before", terminal=True)
    with pytest.raises(Unavailable):
        tokens.fresh(reread(credential), NOW)
    dead = reread(credential)
    assert dead.state == OAuthCredential.State.NEEDS_SIGN_IN
    assert "refresh_token_reused" in dead.state_reason
    assert dead.tokens.lease_until is None


@pytest.mark.parametrize("refusal", [UpstreamUnreachable("down"), RefreshRefused("server_error", "later", terminal=False)])
def test_a_passing_trouble_leaves_the_login_alone_and_gives_the_lease_back(
    authority: Authority, credential: OAuthCredential, refusal: Exception
) -> None:
    authority.refusal = refusal
    with pytest.raises(Unavailable):
        tokens.fresh(reread(credential), NOW)
    authority.refusal = None
    assert reread(credential).state == OAuthCredential.State.ACTIVE
    assert tokens.fresh(reread(credential), NOW).account.access_token == "access-1"


def test_a_token_that_still_lasts_is_used_while_refresh_fails(authority: Authority) -> None:
    lasting = make_credential(NOW + timedelta(seconds=30))
    authority.refusal = UpstreamUnreachable("down")
    assert tokens.fresh(reread(lasting), NOW).account.access_token == "access-0"


def test_a_sign_in_during_a_refresh_is_never_overwritten(authority: Authority, credential: OAuthCredential) -> None:
    def sign_in() -> None:
        grant = TokenGrant("signed-in", "refresh-new", None, NOW + timedelta(hours=1))
        CredentialTokens.objects.filter(pk=credential.pk).update(**tokens.sealed_columns(credential.pk, grant))
        connection.close()

    authority.before = sign_in
    assert tokens.fresh(reread(credential), NOW).account.access_token == "signed-in"
    assert tokens.held(reread(credential)).refresh_token == "refresh-new"


def test_the_loser_of_a_race_with_a_sign_in_does_not_condemn_it(authority: Authority, credential: OAuthCredential) -> None:
    def sign_in() -> None:
        grant = TokenGrant("signed-in", "refresh-new", None, NOW + timedelta(hours=1))
        CredentialTokens.objects.filter(pk=credential.pk).update(**tokens.sealed_columns(credential.pk, grant))
        connection.close()
        authority.refusal = RefreshRefused("refresh_token_reused", "used before", terminal=True)

    authority.before = sign_in
    assert tokens.fresh(reread(credential), NOW).account.access_token == "signed-in"
    assert reread(credential).state == OAuthCredential.State.ACTIVE


def test_a_lease_whose_holder_died_is_taken_over_when_it_runs_out(authority: Authority, credential: OAuthCredential) -> None:
    CredentialTokens.objects.filter(pk=credential.pk).update(lease_holder="dead", lease_until=NOW - timedelta(seconds=1))
    assert tokens.fresh(reread(credential), NOW).account.access_token == "access-1"


def test_tokens_of_one_credential_cannot_be_read_as_anothers(authority: Authority, credential: OAuthCredential) -> None:
    from floway.sealing import CannotUnseal

    other = OAuthCredential.objects.create(provider="authority", subject="other")
    row = CredentialTokens.objects.get(pk=credential.pk)
    row.pk = other.pk
    row.save(force_insert=True)
    with pytest.raises(CannotUnseal):
        tokens.held(reread(other))

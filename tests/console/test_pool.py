"""The pool's pages: its policy, what a credential rests for, and the proxy that is never shown again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import proxies, quota
from accounts.models import ApiKey, CredentialFacts, CredentialProxy, OAuthCredential, Pool
from floway.providers.contract import QuotaWindow
from tests.console import rows
from tests.console.pages import all_pages, budgets
from tests.console.people import signed_in
from tests.fakes.factories import make_credential
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.django_db


def page(name: str, credential: OAuthCredential) -> str:
    return reverse(f"admin:accounts_oauthcredential_{name}", args=[credential.pk])


def entries() -> list[str]:
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


def resting(credential: OAuthCredential) -> OAuthCredential:
    until = timezone.now() + timedelta(hours=2)
    credential.enter(OAuthCredential.State.RATE_LIMITED, "HTTP 429: <b>spent</b>", until=until, resets_at=until)
    return credential


def test_every_provider_has_a_pool_whose_policy_can_be_chosen(operator: Client) -> None:
    listed = operator.get(reverse("admin:accounts_pool_changelist"))
    assert listed.status_code == 200
    pool = Pool.objects.get()
    url = reverse("admin:accounts_pool_change", args=[pool.pk])
    shown = operator.get(url).content.decode()
    assert "may breach the provider’s terms" in shown
    assert not pool.moves_on_usage_limit
    assert operator.post(url, {"policy": "weights", "moves_on_usage_limit": "on", "provider": "x"}).status_code == 302
    pool.refresh_from_db()
    assert (pool.policy, pool.moves_on_usage_limit, pool.provider) == ("weights", True, "codex")
    assert LogEntry.objects.count() == 1


def test_a_cool_down_is_shown_and_can_be_cleared_with_a_trace(operator: Client) -> None:
    credential = resting(rows.make_credential())
    shown = operator.get(page("change", credential)).content.decode()
    assert "rate limited" in shown
    assert "&lt;b&gt;spent" in shown
    assert "Clear cool-down" in shown
    assert operator.get(page("clear", credential)).status_code == 200
    credential.refresh_from_db()
    assert credential.state == "rate_limited", "a look changes nothing"
    operator.post(page("clear", credential))
    credential.refresh_from_db()
    assert (credential.state, credential.state_until, credential.resets_at) == ("active", None, None)
    assert entries() == ["Cool-down cleared."]
    operator.post(page("clear", credential))
    assert entries() == ["Cool-down cleared."]


def test_a_dead_login_is_not_revived_by_clearing(operator: Client) -> None:
    credential = rows.make_credential(state="needs_sign_in")
    operator.post(page("clear", credential))
    credential.refresh_from_db()
    assert credential.state == "needs_sign_in"


@pytest.mark.django_db(transaction=True)
def test_a_check_asks_the_provider_now_and_leaves_a_trace(operator: Client, upstream: FakeUpstream) -> None:
    credential = make_credential()
    operator.get(page("check", credential))
    assert upstream.requests == []
    answer = operator.post(page("check", credential), follow=True)
    assert "2 allowances told" in answer.content.decode()
    assert [request.path for request in upstream.requests] == ["/backend-api/wham/usage"]
    assert credential.quota.count() == 2
    assert entries() == ["Checked."]


def test_the_last_day_is_drawn(operator: Client) -> None:
    credential = rows.make_credential()
    quota.note(credential.pk, [QuotaWindow("requests", "primary", 87.0, 300, None)], timezone.now())
    assert "▇" in operator.get(page("change", credential)).content.decode()


def test_a_proxy_is_set_and_never_shown_again(operator: Client) -> None:
    credential = rows.make_credential()
    answer = operator.post(page("proxy", credential), {"url": "http://someone:s3cret@proxy.example:8080"}, follow=True)
    assert "http://…@proxy.example:8080" in answer.content.decode()
    assert b"s3cret" not in bytes(CredentialProxy.objects.get().sealed)
    read = proxies.of(OAuthCredential.objects.get(pk=credential.pk))
    assert read is not None
    assert read.url == "http://someone:s3cret@proxy.example:8080"
    for url in all_pages():
        assert b"s3cret" not in operator.get(url).content, url
    operator.post(page("proxy", credential), {"url": ""})
    assert not CredentialProxy.objects.exists()
    assert entries() == ["Proxy set.", "Proxy taken away."]


def test_a_refused_proxy_is_not_given_back(operator: Client) -> None:
    credential = rows.make_credential()
    answer = operator.post(page("proxy", credential), {"url": "socks9://someone:s3cret@proxy.example"})
    assert answer.status_code == 200
    assert b"s3cret" not in answer.content
    assert not CredentialProxy.objects.exists()


def test_a_proxy_on_this_machine_needs_the_environments_word(operator: Client, settings: Settings) -> None:
    credential = rows.make_credential()
    operator.post(page("proxy", credential), {"url": "http://127.0.0.1:3128"})
    assert not CredentialProxy.objects.exists()
    settings.FLOWAY_ALLOW_LOCAL_PROXY = True
    operator.post(page("proxy", credential), {"url": "http://127.0.0.1:3128"})
    assert CredentialProxy.objects.get().shown == "http://127.0.0.1:3128"


@pytest.mark.parametrize("act", ["check", "clear", "proxy"])
def test_who_may_only_look_may_do_none_of_it(act: str) -> None:
    credential = resting(rows.make_credential())
    viewer = signed_in("accounts.view_oauthcredential", "accounts.view_pool")
    assert viewer.post(page(act, credential), {"url": "http://proxy.example"}).status_code == 403
    credential.refresh_from_db()
    assert credential.state == "rate_limited"


def test_an_account_that_must_not_be_used_says_why(operator: Client) -> None:
    credential = rows.make_credential()
    problem = "Workspace routing: the upstream wants this account served by https://evil.example"
    CredentialFacts.objects.create(credential=credential, problem=problem, fetched_at=timezone.now())
    assert problem in operator.get(page("change", credential)).content.decode()
    assert "must not be used" in operator.get(reverse("admin:index")).content.decode()


def test_a_key_can_be_limited_to_credentials(operator: Client) -> None:
    credential, key = rows.make_credential(), rows.make_key()
    url = reverse("admin:accounts_apikey_change", args=[key.pk])
    operator.post(url, {"name": key.name, "enabled": "on", "credentials": [credential.pk], **budgets()})
    assert list(ApiKey.objects.get().credentials.all()) == [credential]


def test_the_exchange_shows_each_dispatch(operator: Client) -> None:
    sent = [
        {"credential_id": 1, "credential": "first@example.com", "outcome": "server_is_overloaded", "detail": "full", "ms": 31},
        {"credential_id": 2, "credential": "second@example.com", "outcome": "answered", "detail": "", "ms": 1200},
    ]
    exchange = rows.make_exchange(rows.make_key(), attempts=sent)
    shown = operator.get(reverse("admin:responses_app_exchange_change", args=[exchange.pk])).content.decode()
    for word in ("first@example.com", "server_is_overloaded", "31 ms", "second@example.com", "answered", "1.2 s"):
        assert word in shown

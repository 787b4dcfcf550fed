"""The banner on every page: a dead login, and a maintenance loop that does not come round."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import OAuthCredential, Upkeep
from tests.console import rows
from tests.console.pages import all_pages
from tests.console.people import signed_in

pytestmark = pytest.mark.django_db
DEAD = b"operator1@example.com needs a sign-in."
LATE = b"The maintenance loop has not run lately"


def come_round() -> None:
    Upkeep.objects.update_or_create(name="loop", defaults={"ran_at": timezone.now()})


def test_a_dead_login_stands_on_every_page_until_it_is_back(operator: Client) -> None:
    rows.make_history(1)
    credential = OAuthCredential.objects.get()
    credential.enter(OAuthCredential.State.NEEDS_SIGN_IN, "refused")
    for url in all_pages():
        assert DEAD in operator.get(url).content, url
    credential.enter(OAuthCredential.State.ACTIVE, "")
    assert DEAD not in operator.get(reverse("admin:index")).content


def test_a_loop_that_does_not_come_round_is_said_where_there_is_something_to_keep(operator: Client) -> None:
    index = reverse("admin:index")
    assert LATE not in operator.get(index).content
    rows.make_credential()
    assert LATE in operator.get(index).content
    come_round()
    assert LATE not in operator.get(index).content
    Upkeep.objects.update(ran_at=timezone.now() - timedelta(minutes=10))
    assert LATE in operator.get(index).content


def test_many_dead_logins_are_counted(operator: Client) -> None:
    for number in range(5):
        rows.make_credential(number, state="needs_sign_in")
    page = operator.get(reverse("admin:index")).content
    assert b"5 logins need a sign-in." in page
    assert DEAD not in page


def test_the_banner_is_for_those_who_may_see_credentials() -> None:
    rows.make_credential(state="needs_sign_in")
    assert DEAD not in signed_in("accounts.view_apikey").get(reverse("admin:index")).content
    assert DEAD not in Client().get(reverse("admin:login")).content


def test_a_held_login_says_until_when_and_what_to_do(operator: Client) -> None:
    until = timezone.now() + timedelta(minutes=14, seconds=30)
    row = rows.make_credential(state="edge_blocked", state_reason="cf-ray 1", state_until=until)
    page = operator.get(reverse("admin:accounts_oauthcredential_change", args=[row.pk])).content.decode()
    assert "blocked at the edge" in page
    assert "in 14 min" in page
    assert "the account was not even looked at" in page
    listed = reverse("admin:accounts_oauthcredential_changelist")
    assert not operator.get(listed, {"state": "active"}).context["cl"].result_list
    OAuthCredential.objects.update(state_until=timezone.now() - timedelta(seconds=1))
    assert len(operator.get(listed, {"state": "active"}).context["cl"].result_list) == 1

"""Signing in with a provider that shares no word with the real one: its words are all that the pages say of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from accounts.models import OAuthCredential
from floway.providers import registry
from tests.console.people import superuser

pytestmark = pytest.mark.django_db(transaction=True)
START = reverse("admin:accounts_oauthcredential_sign_in")
ECHO = {"class": "tests.fakes.echo.EchoProvider", "label": "The wall"}


@pytest.fixture
def operator(transactional_db: None) -> Iterator[Client]:
    with override_settings(FLOWAY_PROVIDERS={"echo": ECHO, "canyon": {**ECHO, "label": "The canyon"}}):
        registry.forget()
        yield superuser()
    registry.forget()


def test_the_pages_say_what_the_provider_says(operator: Client) -> None:
    page = operator.get(START).content.decode()
    assert "The wall: By shouting" in page
    assert "The canyon: By shouting" in page
    assert "Shout, and wait." in page
    step = operator.post(START, {"method": "canyon:shout"})["location"]
    page = operator.get(step).content.decode()
    assert "Sign in with The canyon" in page
    assert "<li>Shout.</li>" in page
    assert "data-poll-seconds" not in page
    operator.post(step)
    assert OAuthCredential.objects.get().provider == "canyon"


def test_a_credential_is_renewed_with_its_own_provider(operator: Client) -> None:
    operator.post(operator.post(START, {"method": "canyon:shout"})["location"])
    again = reverse("admin:accounts_oauthcredential_sign_in_again", args=[OAuthCredential.objects.get().pk])
    assert "The wall" not in operator.get(again).content.decode()
    assert operator.post(again, {"method": "echo:shout"}).status_code == 200
    assert operator.post(again, {"method": "canyon:shout"}).status_code == 302


def test_a_method_that_is_not_there_is_an_error_on_the_form(operator: Client) -> None:
    for method in ("", "echo:whisper", "nobody:shout", "echo"):
        assert operator.post(START, {"method": method}).context["form"].errors

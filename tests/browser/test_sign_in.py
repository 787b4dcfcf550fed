"""An operator signs in, sees the login die, signs in again: in Chromium, against the simulated auth server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.fakes.caller import Caller, text_of
from tests.fakes.tokens import ALICE, BOB

if TYPE_CHECKING:
    from tests.browser.window import Browser
    from tests.fakes.door import Door
    from tests.fakes.upstream import FakeUpstream

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "correct horse battery staple"


@pytest.fixture
def console(door: Door, upstream: FakeUpstream, browser: Browser) -> Browser:
    """The admin's first page, with its operator signed in there; at the provider the browser's person is Alice."""
    User.objects.create_superuser("operator", password=PASSWORD)
    upstream.authority.login = ALICE
    browser.go(f"{door.url}/admin/")
    browser.fill(username="operator", password=PASSWORD)
    browser.press("Log in")
    return browser


def sign_in(browser: Browser, name: str) -> None:
    """From the page that asks how, to what the gateway says in the end."""
    browser.picture(f"{name}-choose")
    browser.press("Begin")
    browser.picture(f"{name}-step")
    browser.press("Open the sign-in page")
    browser.other_tab()
    browser.press("Continue")
    callback = browser.wait_for_address("http://127.0.0.1:1455/auth/callback?")
    browser.first_tab()
    browser.find("#id_callback").send_keys(callback)
    browser.press("Finish")


def test_an_operator_signs_in_and_again_when_the_login_has_died(console: Browser, door: Door, upstream: FakeUpstream) -> None:
    from accounts import keys
    from accounts.models import CredentialTokens, OAuthCredential

    console.picture("first-run")
    console.press("Sign in")
    sign_in(console, "first")
    console.see("Signed in: alice@example.com is a new credential.")
    console.picture("signed-in")
    caller = Caller(door.url, keys.issue("test").secret)
    assert text_of(caller.say("hello").json)

    # The login dies: its access token runs out, and somebody has used its refresh token.
    CredentialTokens.objects.update(access_expires_at=timezone.now() - timedelta(minutes=1))
    upstream._consumed.add(upstream.authority.issued[0]["refresh_token"])
    assert caller.say("hello").status == 503
    console.go(f"{door.url}/admin/")
    console.see("Something needs you.")
    console.picture("needs-sign-in")
    console.press("alice@example.com: needs sign-in")
    console.see("refresh_token_reused")
    console.picture("dead-credential")
    device_id = OAuthCredential.objects.get().openai_device_id

    console.press("Sign in again")
    upstream.authority.login = BOB
    sign_in(console, "again")
    console.see("You signed in as bob@example.com, which is another account than that of alice@example.com.")
    console.picture("another-account")
    upstream.authority.login = ALICE
    console.press("Sign in again with the right account")
    sign_in(console, "right")
    console.see("Signed in again to alice@example.com")
    console.see("usable")
    console.picture("signed-in-again")
    renewed = OAuthCredential.objects.get()
    assert (renewed.state, renewed.openai_device_id) == ("active", device_id)
    assert text_of(caller.say("hello").json)


def test_a_page_that_waits_for_a_code_goes_on_by_itself(console: Browser, upstream: FakeUpstream) -> None:
    console.press("Sign in")
    console.find("input[value='codex:device']").click()
    console.press("Begin")
    code = console.find(".reveal code").text
    console.picture("device")
    console.press("Check")
    console.see("Not yet")
    console.picture("device-waiting")
    assert console.find(".reveal code").text == code
    console.press("Open the sign-in page")
    console.other_tab()
    console.find("input[name='user_code']").send_keys(code)
    console.press("Continue")
    console.see("You may close this page.")
    console.first_tab()
    console.see("Signed in: alice@example.com is a new credential.")
    assert len(upstream.authority.exchanged) == 1


def test_an_export_asks_for_the_password(console: Browser, door: Door) -> None:
    from accounts.importing import import_credential
    from tests.fakes.tokens import document

    credential = import_credential(document(ALICE)).credential
    console.go(f"{door.url}/admin/accounts/oauthcredential/{credential.pk}/change/")
    console.press("Export")
    console.fill(password="wrong")
    console.press("Export")
    console.see("That is not your password.")
    console.picture("export")

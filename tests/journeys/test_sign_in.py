"""Signing in through the admin's door, against an auth server on a socket: both ways, again in place, and every wrong turn."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.importing import import_credential
from accounts.models import ApiKey, OAuthCredential, PendingSignIn
from accounts.tokens import held
from floway.console.csp import POLICY
from tests.console.people import signed_in, superuser
from tests.console.test_pages import INLINE
from tests.fakes import person
from tests.fakes.caller import Caller, text_of
from tests.fakes.tokens import ALICE, BOB, document
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.django_db(transaction=True)
START = reverse("admin:accounts_oauthcredential_sign_in")


@pytest.fixture
def operator(transactional_db: None, upstream: FakeUpstream) -> Client:
    """Somebody at the admin, who is Alice at the provider."""
    upstream.authority.login = ALICE
    return superuser()


@pytest.fixture
def dead(operator: Client) -> OAuthCredential:
    """Alice's login, which has ended."""
    credential = import_credential(document(ALICE)).credential
    credential.enter(OAuthCredential.State.NEEDS_SIGN_IN, "Refresh refused (refresh_token_reused).")
    return credential


def begin(client: Client, method: str = "browser", credential: OAuthCredential | None = None) -> str:
    """The address of the sign-in's page."""
    answer = client.post(again(credential) if credential else START, {"method": f"codex:{method}"})
    assert answer.status_code == 302, answer.content.decode()
    return str(answer["location"])


def again(credential: OAuthCredential) -> str:
    return reverse("admin:accounts_oauthcredential_sign_in_again", args=[credential.pk])


def page_of(credential: OAuthCredential) -> str:
    return reverse("admin:accounts_oauthcredential_change", args=[credential.pk])


def read(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return str(answer.content.decode())


def go_through(client: Client, step: str, answer: str = "yes") -> str:
    """The callback of a sign-in by browser."""
    return person.signs_in(person.link_in(read(client, step)), answer)


def finish(client: Client, step: str, callback: str) -> Any:
    return client.post(step, {"callback": callback}, follow=True)


def altered(callback: str, **parameters: str | None) -> str:
    """The callback with some of its parameters replaced, or without them."""
    parts = urlsplit(callback)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | parameters
    return urlunsplit(parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})))


# --- in the browser ---


def test_signing_in_by_browser_makes_a_credential_that_serves(operator: Client, upstream: FakeUpstream, door: Any) -> None:
    step = begin(operator)
    answer = finish(operator, step, go_through(operator, step))
    credential = OAuthCredential.objects.get()
    assert answer.redirect_chain[-1][0] == page_of(credential)
    assert (credential.email, credential.account_id, credential.state) == (ALICE.email, ALICE.account_id, "active")
    assert held(credential).refresh_token == upstream.authority.issued[0]["refresh_token"]
    from accounts import keys

    reply = Caller(door.url, keys.issue("test").secret).say("hello")
    assert text_of(reply.json)


def test_the_link_asks_as_the_official_client_does(operator: Client, upstream: FakeUpstream) -> None:
    link = urlsplit(person.link_in(read(operator, begin(operator))))
    assert link._replace(query="").geturl() == f"{upstream.url}/oauth/authorize"
    asked = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert [name for name, _ in (pair.split("=") for pair in link.query.split("&"))] == list(asked)
    assert len(asked.pop("state")) == 43
    assert len(asked.pop("code_challenge")) == 43
    assert asked == {
        "response_type": "code",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
        "redirect_uri": "http://127.0.0.1:1455/auth/callback",
        "scope": "openid profile email offline_access",
        "code_challenge_method": "S256",
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
        "originator": "codex_cli_rs",
    }


def test_the_code_is_exchanged_form_encoded_with_the_proof_key(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    finish(operator, step, go_through(operator, step))
    sent = next(request for request in upstream.requests if request.path == "/oauth/token")
    names = [name for name, _ in (pair.split("=") for pair in sent.body.decode().split("&"))]
    assert names == ["grant_type", "client_id", "code", "redirect_uri", "code_verifier"]
    assert [name.lower() for name, _ in sent.headers] == ["content-type", "accept", "host", "content-length"]


def test_the_auth_server_refuses_a_sign_in_without_a_proof_key(operator: Client) -> None:
    link = person.link_in(read(operator, begin(operator)))
    for name in ("code_challenge", "code_challenge_method"):
        status, _, text = person.ask("GET", altered(link, **{name: None}))
        assert (status, "no proof key" in text) == (400, True)


def test_an_account_that_is_there_already_keeps_its_row(dead: OAuthCredential, operator: Client) -> None:
    step = begin(operator)
    finish(operator, step, go_through(operator, step))
    assert [row.pk for row in OAuthCredential.objects.usable()] == [dead.pk]


# --- with a code ---


def test_signing_in_with_a_code_waits_until_the_person_is_done(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator, "device")
    page = read(operator, step)
    code, link = person.code_in(page), person.link_in(page)
    assert link == f"{upstream.url}/codex/device"
    waiting = operator.post(step)
    assert "Not yet" in waiting.content.decode()
    assert not OAuthCredential.objects.exists()
    assert "Signed in as alice" in person.types_in(link, code)
    answer = operator.post(step, follow=True)
    credential = OAuthCredential.objects.get()
    assert answer.redirect_chain[-1][0] == page_of(credential)
    assert credential.email == ALICE.email
    assert len(upstream.authority.exchanged) == 1


def test_a_waiting_page_checks_by_itself_with_a_script_of_ours_alone(operator: Client) -> None:
    page = read(operator, begin(operator, "device"))
    assert 'data-poll-seconds="1"' in page
    scripts = re.findall(r'<script src="([^"]+)"', page)
    assert "/static/console/poll.js" in scripts
    assert all(script.startswith("/static/") for script in scripts)


def test_a_provider_without_codes_says_so(operator: Client, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream.authority, "_user_code", lambda exchange: exchange.answer_json(404, {}))
    answer = operator.post(START, {"method": "codex:device"})
    assert "does not offer sign-in with a code" in answer.content.decode()
    assert not PendingSignIn.objects.exists()


# --- again, in place ---


def test_signing_in_again_keeps_the_row_the_device_id_and_the_conversations(
    dead: OAuthCredential, operator: Client, upstream: FakeUpstream
) -> None:
    from responses_app.models import Conversation
    from tests.console import rows

    OAuthCredential.objects.filter(pk=dead.pk).update(label="mine")
    conversation = rows.make_conversation(rows.make_key(), credential=dead)
    step = begin(operator, credential=dead)
    answer = finish(operator, step, go_through(operator, step))
    renewed = OAuthCredential.objects.get()
    assert (renewed.pk, renewed.openai_device_id, renewed.label) == (dead.pk, dead.openai_device_id, "mine")
    assert (renewed.state, renewed.state_reason) == ("active", "")
    assert held(renewed).account.access_token == upstream.authority.issued[0]["access_token"]
    assert Conversation.objects.get(pk=conversation.pk).credential_id == dead.pk
    assert "Signed in again" in answer.content.decode()
    assert LogEntry.objects.get().get_change_message() == "Signed in again: tokens replaced."


@pytest.mark.parametrize("known", [False, True], ids=["a new account", "an account that is here too"])
def test_another_accounts_login_changes_nothing_and_is_offered_as_a_new_one(
    dead: OAuthCredential, operator: Client, upstream: FakeUpstream, known: bool
) -> None:
    others = [import_credential(document(BOB)).credential] if known else []
    before = tables()
    upstream.authority.login = BOB
    step = begin(operator, credential=dead)
    page = finish(operator, step, go_through(operator, step)).content.decode()
    assert "You signed in as bob@example.com, which is another account than that of alice@example.com" in page
    assert f'href="{START}"' in page
    assert tables() == before
    assert OAuthCredential.objects.count() == 1 + len(others)
    assert not LogEntry.objects.exists()
    fresh = begin(operator)
    finish(operator, fresh, go_through(operator, fresh))
    assert sorted(OAuthCredential.objects.values_list("email", "state")) == [
        ("alice@example.com", "needs_sign_in"),
        ("bob@example.com", "active"),
    ]


def tables() -> list[Any]:
    """All that the database holds about credentials."""
    found: list[Any] = []
    with connection.cursor() as cursor:
        for table in ("accounts_oauthcredential", "accounts_credentialtokens"):
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
            found.extend(tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in cursor.fetchall())
    return found


def test_a_disabled_credential_gets_its_tokens_and_stays_disabled(dead: OAuthCredential, operator: Client) -> None:
    dead.enter(OAuthCredential.State.DISABLED, "Disabled by operator.")
    step = begin(operator, "browser", dead)
    page = finish(operator, step, go_through(operator, step)).content.decode()
    assert OAuthCredential.objects.get().state == "disabled"
    assert "is still disabled" in page


# --- wrong turns ---


def assert_over(client: Client, upstream: FakeUpstream, step: str, callback: str, says: str) -> None:
    exchanged = len(upstream.authority.exchanged)
    page = finish(client, step, callback).content.decode()
    assert says in page
    assert len(upstream.authority.exchanged) == exchanged


def test_a_sign_in_is_good_once(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    finish(operator, step, callback)
    answer = finish(operator, step, callback)
    assert answer.redirect_chain[-1][0] == page_of(OAuthCredential.objects.get())
    assert len(upstream.authority.exchanged) == 1


def test_an_expired_sign_in_is_not_finished(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    assert PendingSignIn.objects.get().expires_at - timezone.now() <= timedelta(minutes=10)
    PendingSignIn.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_over(operator, upstream, step, callback, "It took too long")
    assert not OAuthCredential.objects.exists()


def test_a_sign_in_of_another_session_is_as_good_as_none(operator: Client, upstream: FakeUpstream) -> None:
    from django.contrib.auth.models import User

    step = begin(operator)
    callback = go_through(operator, step)
    elsewhere, somebody = Client(), signed_in("accounts.add_oauthcredential", "accounts.change_oauthcredential")
    elsewhere.force_login(User.objects.get(username="operator"))
    for client in (elsewhere, somebody):
        for answer in (client.get(step), client.post(step, {"callback": callback})):
            assert answer.status_code == 404
    assert upstream.authority.exchanged == []
    finish(operator, step, callback)
    assert OAuthCredential.objects.count() == 1


WRONG: dict[str, dict[str, str | None]] = {
    "another state": {"state": "x" * 43},
    "no state": {"state": None},
    "an empty state": {"state": ""},
    "no code": {"code": None},
    "a code that is none": {"code": "\u00e9\r\nx"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_callback_that_is_not_of_this_sign_in_asks_the_auth_server_nothing(
    operator: Client, upstream: FakeUpstream, change: dict[str, str | None]
) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    assert_over(operator, upstream, step, altered(callback, **change), "errornote")
    finish(operator, step, callback)
    assert OAuthCredential.objects.count() == 1


ELSEWHERE = (
    "https://evil.example/auth/callback?code=a&state=b",
    "http://127.0.0.1:1455@evil.example/auth/callback?code=a",
    "http://127.0.0.1:1455/other?code=a",
    "http://127.0.0.1:1455/auth/callback",
    "file:///etc/passwd?code=a",
    "http://[::1",
    "just some words",
    "http://127.0.0.1:1455/auth/callback?" + "&".join(f"a{n}=1" for n in range(100)),
    "http://127.0.0.1:1455/auth/callback?code=" + "a" * 12_000,
)


@pytest.mark.parametrize("callback", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_what_is_pasted_is_read_and_never_fetched(operator: Client, upstream: FakeUpstream, callback: str) -> None:
    step = begin(operator)
    seen = len(upstream.requests)
    assert_over(operator, upstream, step, callback, "That is not the address that the sign-in ends on")
    assert len(upstream.requests) == seen
    assert PendingSignIn.objects.get().used_at is None


def test_a_code_said_twice_is_refused(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    assert_over(operator, upstream, step, f"{callback}&code=other", "something twice")


def test_a_person_who_cancels_is_told_and_begins_anew(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    callback = go_through(operator, step, "no")
    assert_over(operator, upstream, step, callback, "The sign-in was refused: The person pressed cancel.")
    assert_over(operator, upstream, step, callback, "The sign-in was refused: The person pressed cancel.")


def test_markup_in_a_refusal_is_not_shown(operator: Client, upstream: FakeUpstream) -> None:
    for description in ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a < b & c"):
        step = begin(operator)
        callback = altered(go_through(operator, step, "no"), error_description=description)
        page = finish(operator, step, callback).content.decode()
        assert "The sign-in was refused" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_a_code_that_the_auth_server_does_not_know_is_refused_and_used_up(operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    page = finish(operator, step, altered(callback, code="ac_made_up")).content.decode()
    assert "did not accept the code: The code is not good." in page
    assert_over(operator, upstream, step, callback, "did not accept the code")


def test_an_auth_server_that_does_not_answer_is_named(
    operator: Client, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    monkeypatch.setattr(upstream.authority, "_exchange", lambda exchange: exchange.cut())
    assert "The provider gave no answer" in finish(operator, step, callback).content.decode()
    assert not OAuthCredential.objects.exists()


@pytest.mark.parametrize("over", [{"id_token": None}, {"refresh_token": None}, {"id_token": BOB.id_token(4_102_444_800)}])
def test_an_answer_that_is_no_whole_login_of_one_account_is_not_kept(
    operator: Client, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, over: dict[str, Any]
) -> None:
    tokens = {**ALICE.document(4_102_444_800)["tokens"], **over}
    monkeypatch.setattr(upstream.authority, "_exchange", lambda exchange: exchange.answer_json(200, tokens))
    step = begin(operator)
    page = finish(operator, step, go_through(operator, step)).content.decode()
    assert "answer lacks a token" in page or "does not say whose login" in page
    assert not OAuthCredential.objects.exists()


def test_two_submits_at_once_make_one_exchange(
    operator: Client, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    authority, arrived, go_on = upstream.authority, threading.Event(), threading.Event()
    exchange = authority._exchange

    def slowly(taken: Any) -> None:
        arrived.set()
        go_on.wait(10)
        exchange(taken)

    with monkeypatch.context() as gated:
        gated.setattr(authority, "_exchange", slowly)
        first = threading.Thread(target=submit, args=(operator, step, callback))
        first.start()
        assert arrived.wait(10)
        page = finish(operator, step, callback).content.decode()
        assert "Another request is finishing this sign-in" in page
        go_on.set()
        first.join(10)
    assert len(authority.exchanged) == 1
    assert OAuthCredential.objects.usable().count() == 1
    assert finish(operator, step, callback).redirect_chain[-1][0] == page_of(OAuthCredential.objects.get())


def submit(client: Client, step: str, callback: str) -> None:
    clone = Client()
    clone.cookies = client.cookies
    clone.post(step, {"callback": callback})
    connection.close()


def test_every_step_needs_the_form_token(dead: OAuthCredential, operator: Client, upstream: FakeUpstream) -> None:
    step = begin(operator)
    callback = go_through(operator, step)
    operator.handler.enforce_csrf_checks = True
    for url in (START, step, again(dead), reverse("admin:accounts_oauthcredential_export", args=[dead.pk])):
        assert operator.post(url, {"method": "codex:browser", "callback": callback, "password": "x"}).status_code == 403
    assert upstream.authority.exchanged == []


def test_signing_in_takes_permissions(dead: OAuthCredential, upstream: FakeUpstream) -> None:
    viewer = signed_in("accounts.view_oauthcredential", "accounts.add_oauthcredential")
    for url in (START, again(dead)):
        assert viewer.get(url).status_code == 403
        assert viewer.post(url, {"method": "codex:browser"}).status_code == 403
    assert upstream.requests == []


def test_every_page_of_a_sign_in_keeps_the_strict_policy(
    dead: OAuthCredential, operator: Client, upstream: FakeUpstream
) -> None:
    upstream.authority.login = BOB
    browser, device, over = begin(operator), begin(operator, "device"), begin(operator, "browser", dead)
    submit(operator, over, go_through(operator, over))
    for url in (START, again(dead), browser, device, over):
        answer = operator.get(url)
        assert answer.status_code == 200
        assert answer["content-security-policy"] == POLICY
        assert not INLINE.search(answer.content), url


# --- nothing shows ---


@pytest.fixture
def secrets_seen(operator: Client, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Both flows gone through with everything logged; the secrets that were in play."""
    caplog.set_level(logging.DEBUG)
    secrets = []
    step = begin(operator)
    link = person.link_in(read(operator, step))
    callback = person.signs_in(link)
    secrets += [parse_qs(urlsplit(callback).query)["code"][0], parse_qs(urlsplit(link).query)["state"][0]]
    finish(operator, step, altered(callback, state="x" * 43))
    finish(operator, step, callback)
    step = begin(operator, "device")
    secrets.append(person.code_in(read(operator, step)))
    operator.post(step)
    upstream.authority.consenting = True
    finish(operator, step, "")
    secrets += list(upstream.authority._devices)
    secrets += [device.verifier for device in upstream.authority._devices.values()]
    secrets += [token for tokens in upstream.authority.issued for token in tokens.values()]
    secrets += [token[60:120] for tokens in upstream.authority.issued for token in tokens.values()]
    yield secrets


def test_no_log_line_row_or_later_page_holds_a_secret_of_a_sign_in(
    operator: Client, secrets_seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    from tests.console.pages import all_pages

    assert len(secrets_seen) > 10
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.get_records("setup"))
    assert [secret for secret in secrets_seen if secret in logged] == []
    rows = str([*PendingSignIn.objects.values(), *LogEntry.objects.values(), *OAuthCredential.objects.values()])
    assert [secret for secret in secrets_seen if secret in rows] == []
    for url in all_pages():
        page = operator.get(url).content.decode()
        assert [secret for secret in secrets_seen if secret in page] == [], url
    assert ApiKey.objects.count() == 0


def test_a_refused_callback_does_not_come_back_in_the_form(operator: Client) -> None:
    step = begin(operator)
    answer = operator.post(step, {"callback": "http://127.0.0.1:1455/auth/callback?code=canary&state=wrong"})
    assert "canary" not in answer.content.decode()
    assert "no-store" in answer["cache-control"]

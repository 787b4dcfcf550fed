"""Credentials through the admin's door: imported by paste and upload, switched off and on, never shown."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import CredentialTokens, OAuthCredential
from floway.providers import registry
from tests.console import rows
from tests.console.people import signed_in
from tests.fakes.tokens import ALICE, BOB, document

pytestmark = pytest.mark.django_db
IMPORT = reverse("admin:accounts_oauthcredential_add")
# An import asks the database for a durable commit, which is not to be had inside a test's transaction.
imports = pytest.mark.django_db(transaction=True)
CHANGELIST = reverse("admin:accounts_oauthcredential_changelist")


def submit(client: Client, **fields: Any) -> Any:
    return client.post(IMPORT, {"provider": registry.default_slug(), **fields})


def secrets_of(text: bytes) -> list[str]:
    return [value for value in json.loads(text)["tokens"].values() if len(value) > 40]


@imports
def test_a_pasted_document_becomes_a_credential_and_is_not_shown_again(operator: Client) -> None:
    text = document(ALICE)
    answer = operator.post(IMPORT, {"provider": registry.default_slug(), "paste": text.decode()}, follow=True)
    credential = OAuthCredential.objects.get()
    assert answer.redirect_chain == [(reverse("admin:accounts_oauthcredential_change", args=[credential.pk]), 302)]
    assert credential.email == ALICE.email
    page = answer.content.decode()
    assert ALICE.email in page
    assert not [secret for secret in secrets_of(text) if secret in page]


@imports
def test_an_uploaded_document_becomes_a_credential(operator: Client) -> None:
    upload = BytesIO(document(ALICE))
    upload.name = "login.json"
    assert submit(operator, upload=upload).status_code == 302
    assert OAuthCredential.objects.get().email == ALICE.email


@imports
def test_the_same_login_again_keeps_its_row_and_another_login_gets_its_own(operator: Client) -> None:
    submit(operator, paste=document(ALICE).decode())
    first = OAuthCredential.objects.get()
    before = bytes(CredentialTokens.objects.get().access_token)
    submit(operator, paste=document(ALICE, serial=1).decode())
    again = OAuthCredential.objects.get()
    assert (again.pk, again.openai_device_id) == (first.pk, first.openai_device_id)
    assert bytes(CredentialTokens.objects.get().access_token) != before
    submit(operator, paste=document(BOB).decode())
    assert OAuthCredential.objects.count() == 2


@imports
def test_an_import_leaves_no_secret_in_the_log_of_actions_or_the_session(operator: Client) -> None:
    text = document(ALICE)
    submit(operator, paste=text.decode())
    traces = (
        " ".join(str(entry.__dict__) for entry in LogEntry.objects.all()) + str(dict(operator.session)) + str(operator.cookies)
    )
    assert not [secret for secret in secrets_of(text) if secret in traces]


BAD = {
    "nothing": "",
    "no JSON": "hello",
    "a list": "[]",
    "a number": "4" * 5000,
    "NaN": '{"tokens": NaN}',
    "deep": "[" * 100_000,
    "tokens of the wrong type": '{"tokens": ["a"]}',
    "tokens that are numbers": '{"tokens": {"access_token": 1, "refresh_token": 2, "id_token": 3}}',
    "tokens that are no tokens": '{"tokens": {"access_token": "a", "refresh_token": "b", "id_token": "c"}}',
    "claims that are no JSON": '{"tokens": {"access_token": "a.b.c", "refresh_token": "b", "id_token": "a.!!.c"}}',
    "an API key alone": '{"OPENAI_API_KEY": "sk-1", "tokens": null}',
    "markup": '{"tokens": "<script>alert(1)</script>"}',
    "lone surrogate": '{"tokens": {"id_token": "\\ud800"}}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_document_is_an_error_on_the_form_that_does_not_quote_it(operator: Client, text: str) -> None:
    answer = submit(operator, paste=text)
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert b"<script>alert" not in answer.content
    assert len(text) < 10 or text.encode() not in answer.content
    assert not OAuthCredential.objects.exists()


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"PK\x03\x04" + b"\0" * 100, b"\x80\x04\x95pickle", b"\x1f\x8b\x08\x00gzip"]
)
def test_a_file_that_is_no_document_is_an_error_on_the_form(operator: Client, data: bytes) -> None:
    upload = BytesIO(data)
    upload.name = "../../etc/passwd"
    answer = submit(operator, upload=upload)
    assert answer.status_code == 200
    assert answer.context["form"].errors


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 4 * 1024 * 1024])
def test_a_file_beyond_the_limit_is_refused(operator: Client, size: int) -> None:
    upload = BytesIO(b" " * size)
    upload.name = "login.json"
    answer = submit(operator, upload=upload)
    assert answer.status_code == 200
    assert answer.context["form"].errors


def test_paste_and_file_together_are_refused(operator: Client) -> None:
    upload = BytesIO(document(ALICE))
    upload.name = "login.json"
    assert submit(operator, paste=document(ALICE).decode(), upload=upload).context["form"].errors


def test_a_refused_document_does_not_come_back_in_the_form(operator: Client) -> None:
    text = document(ALICE).decode() + "trailing"
    answer = submit(operator, paste=text)
    assert answer.context["form"].errors
    page = answer.content.decode()
    assert not [secret for secret in secrets_of(document(ALICE)) if secret in page]


def test_an_unknown_provider_is_refused(operator: Client) -> None:
    answer = operator.post(IMPORT, {"provider": "no-such", "paste": document(ALICE).decode()})
    assert answer.status_code == 200
    assert not OAuthCredential.objects.exists()


def test_importing_takes_the_permissions_to_add_and_to_change() -> None:
    client = signed_in("accounts.add_oauthcredential", "accounts.view_oauthcredential")
    assert submit(client, paste=document(ALICE).decode()).status_code == 403
    assert not OAuthCredential.objects.exists()


def test_only_the_label_and_its_place_in_the_pool_can_be_edited(operator: Client) -> None:
    credential = rows.make_credential()
    url = reverse("admin:accounts_oauthcredential_change", args=[credential.pk])
    sent = {"label": "mine", "rank": 3, "weight": 2, "email": "evil@example.com", "state": "disabled"}
    assert operator.post(url, sent).status_code == 302
    after = OAuthCredential.objects.get()
    assert (after.label, after.email, after.state) == ("mine", credential.email, credential.state)


def act(client: Client, name: str, credential: OAuthCredential, method: str = "post") -> Any:
    return getattr(client, method)(reverse(f"admin:accounts_oauthcredential_{name}", args=[credential.pk]))


def test_disabling_asks_first_and_says_what_happens_to_requests_in_flight(operator: Client) -> None:
    credential, key = rows.make_credential(), rows.make_key()
    rows.make_exchange(key, 1, credential=credential, finished_at=None, status="in_flight")
    page = act(operator, "disable", credential, "get").content.decode()
    assert "Requests in flight with it (1 now) go on to their end." in page
    assert OAuthCredential.objects.get().state == "active"
    assert act(operator, "disable", credential).status_code == 302
    after = OAuthCredential.objects.get()
    assert (after.state, after.state_reason) == ("disabled", "Disabled by operator.")
    assert LogEntry.objects.get().get_change_message() == "Disabled."


def test_enabling_again_makes_it_usable(operator: Client) -> None:
    credential = rows.make_credential(state="disabled")
    act(operator, "enable", credential)
    assert OAuthCredential.objects.usable().exists()


def test_enabling_does_not_revive_a_login_that_needs_a_person(operator: Client) -> None:
    credential = rows.make_credential(state="needs_sign_in", state_reason="refused")
    act(operator, "enable", credential)
    assert OAuthCredential.objects.get().state == "needs_sign_in"


def test_switching_takes_the_permission_to_change() -> None:
    credential = rows.make_credential()
    client = signed_in("accounts.view_oauthcredential")
    for method in ("get", "post"):
        assert act(client, "disable", credential, method).status_code == 403
    assert OAuthCredential.objects.get().state == "active"


def test_switching_needs_the_form_token() -> None:
    credential = rows.make_credential()
    client = signed_in("accounts.view_oauthcredential", "accounts.change_oauthcredential")
    client.handler.enforce_csrf_checks = True
    assert act(client, "disable", credential).status_code == 403
    assert OAuthCredential.objects.get().state == "active"


def test_the_list_finds_those_that_need_a_sign_in(operator: Client) -> None:
    rows.make_credential(1)
    dead = rows.make_credential(2, state="needs_sign_in")
    assert [row.pk for row in operator.get(CHANGELIST, {"state": "needs_sign_in"}).context["cl"].result_list] == [dead.pk]
    assert operator.get(CHANGELIST, {"tokens__access_token__startswith": "s"}).status_code == 400


def test_a_credential_is_not_deleted(operator: Client) -> None:
    credential = rows.make_credential()
    url = reverse("admin:accounts_oauthcredential_delete", args=[credential.pk])
    assert operator.post(url, {"post": "yes"}).status_code == 403
    assert OAuthCredential.objects.exists()

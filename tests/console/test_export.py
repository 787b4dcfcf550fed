"""A login given out for a backup: to whoever may and says their password again, and to nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from accounts.importing import import_credential
from accounts.models import CredentialTokens, OAuthCredential
from accounts.tokens import held
from tests.console import rows
from tests.fakes.tokens import ALICE, LONG_FROM_NOW, document

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def credential() -> OAuthCredential:
    return import_credential(document(ALICE, openaiDeviceId="3f0c2a52-6d0c-4a3e-9f4e-0f3d6f1b2c3d", note="kept")).credential


def person(*permissions: str) -> Client:
    """A member of staff with a password; without `permissions`, a superuser."""
    user = User.objects.create_user("operator", password=PASSWORD, is_staff=True, is_superuser=not permissions)
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(content_type__app_label="accounts", codename=name))
    client = Client()
    client.force_login(user)
    return client


def url_of(credential: OAuthCredential) -> str:
    return reverse("admin:accounts_oauthcredential_export", args=[credential.pk])


def export(client: Client, credential: OAuthCredential, password: str = PASSWORD) -> Any:
    return client.post(url_of(credential), {"password": password})


def test_the_export_is_what_the_official_client_keeps_and_the_device_id(credential: OAuthCredential) -> None:
    answer = export(person(), credential)
    assert answer.status_code == 200
    assert "no-store" in answer["cache-control"]
    assert answer["content-type"] == "application/json"
    assert answer["content-disposition"] == 'attachment; filename="auth.json"'
    given = json.loads(answer.content)
    assert given.pop("last_refresh").endswith("Z")
    assert given == {
        "note": "kept",
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": None,
        "tokens": ALICE.document(LONG_FROM_NOW)["tokens"],
        "openaiDeviceId": str(credential.openai_device_id),
    }


def test_importing_an_export_gives_the_credential_back_with_its_device_id(credential: OAuthCredential) -> None:
    device_id, before = credential.openai_device_id, held(credential)
    text = export(person(), credential).content
    OAuthCredential.objects.all().delete()
    restored = import_credential(text).credential
    assert restored.openai_device_id == device_id
    assert (restored.subject, restored.email) == (credential.subject, ALICE.email)
    assert held(restored).refresh_token == before.refresh_token
    assert held(restored).account.access_token == before.account.access_token


def test_the_password_is_asked_again_and_a_wrong_one_gives_nothing(credential: OAuthCredential) -> None:
    client = person()
    assert client.get(url_of(credential)).status_code == 200
    for password in ("", "wrong"):
        answer = export(client, credential, password)
        assert answer["content-type"].startswith("text/html")
        assert answer.context["form"].errors
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Export refused: wrong password."]


def test_after_five_wrong_passwords_the_right_one_waits(credential: OAuthCredential) -> None:
    client = person()
    for _ in range(5):
        export(client, credential, "wrong")
    answer = export(client, credential)
    assert "Too many wrong passwords" in answer.content.decode()
    assert LogEntry.objects.count() == 5


def test_exporting_takes_a_permission_of_its_own(credential: OAuthCredential) -> None:
    client = person("view_oauthcredential", "change_oauthcredential", "add_oauthcredential")
    assert client.get(url_of(credential)).status_code == 403
    assert export(client, credential).status_code == 403
    User.objects.all().delete()
    allowed = person("view_oauthcredential", "change_oauthcredential", "export_oauthcredential")
    assert export(allowed, credential).status_code == 200


def test_the_log_of_actions_names_the_export_and_holds_no_secret(credential: OAuthCredential) -> None:
    text = export(person(), credential).content
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == "Exported with its tokens."
    secrets = [value for value in json.loads(text)["tokens"].values() if len(value) > 40]
    assert not [secret for secret in [*secrets, PASSWORD] if secret in str(entry.__dict__)]


def test_tokens_that_cannot_be_read_are_an_error_on_the_form() -> None:
    damaged = rows.make_credential()
    answer = export(person(), damaged)
    assert "It has no tokens that can be read." in answer.content.decode()
    CredentialTokens.objects.all().delete()
    User.objects.all().delete()
    assert "It has no tokens that can be read." in export(person(), damaged).content.decode()

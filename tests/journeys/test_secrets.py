"""No secret and no word of a conversation shows anywhere: logs, rows in the clear, admin pages, answers, representations."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts import cooling
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import turn
from tests.fakes.tokens import ALICE, LONG_FROM_NOW
from tests.fakes.upstream import FakeUpstream

WORDS = "canary-words-of-a-prompt"
STATED = "canary-login-of-a-client"
COOKIE = "canary-cookie"


@pytest.fixture
def lived(gateway: Gateway, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> Iterator[Gateway]:
    """A gateway that has seen success and every kind of failure, logged at the finest level."""
    caplog.set_level(logging.DEBUG)
    caller = {"x_api_key": gateway.key, "authorization": f"Bearer {STATED}", "cookie": COOKIE}
    first = gateway.post(turn(WORDS, instructions=WORDS, metadata={"m": WORDS}, user=WORDS), **caller).json
    gateway.post(turn(WORDS, previous_response_id=first["id"]), **caller)
    for fault in (faults.unauthorized(), faults.edge_page(), faults.cut_after(4), faults.overloaded(), faults.rate_limited(1)):
        upstream.script(fault)
        gateway.post(turn(WORDS, stream=True), **caller)
        if gateway.credential is not None:
            cooling.clear(gateway.credential.pk)
    gateway.post(b'{"model":"gpt-5.5","input":"' + WORDS.encode() + b"\\ud800", **caller)
    gateway.post(turn(WORDS, model="gpt-nonsense"), **caller)
    gateway.post(turn(WORDS, client_metadata={"session_id": "é" + WORDS}), **caller)
    gateway.caller(STATED).say(WORDS)
    gateway.exchange()
    yield gateway


def secrets_of(gateway: Gateway) -> list[str]:
    documents = [ALICE.document(LONG_FROM_NOW, serial)["tokens"] for serial in (0, 1)]
    names = ("access_token", "refresh_token", "id_token")
    tokens = [document[name] for document in documents for name in names]
    # A token's first part says nothing; the middle of it is enough to give it away.
    return [gateway.key[10:], STATED, COOKIE, WORDS, "__cf_bm=simulated", *(token[60:120] for token in tokens)]


def shows(text: str, gateway: Gateway) -> list[str]:
    return [secret for secret in secrets_of(gateway) if secret and secret in text]


def test_logs_hold_no_secret(lived: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    from django.conf import settings

    from floway.logs import ConsoleFormatter, JSONFormatter

    assert settings.LOGGING["root"]["level"] == "DEBUG"
    records = caplog.get_records("setup")
    assert len(records) > 10
    for formatter in (ConsoleFormatter(), JSONFormatter()):
        text = "\n".join(formatter.format(record) for record in records)
        assert shows(text, lived) == []


def test_no_column_holds_a_secret_in_the_clear(lived: Gateway) -> None:
    dump = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            for record in cursor.fetchall():
                for value in record:
                    raw = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    dump.append(raw.decode("latin-1"))
    assert len(dump) > 100
    assert shows("\n".join(dump), lived) == []


def test_no_admin_page_shows_a_secret(lived: Gateway, django_user_model: type) -> None:
    client = Client(raise_request_exception=True)
    client.force_login(django_user_model.objects.create_superuser("operator", password="x"))  # type: ignore[attr-defined] # a user model
    seen = 0
    for page in pages():
        answer = client.get(page)
        assert answer.status_code in {200, 302, 403, 404}, page
        assert shows(answer.content.decode(), lived) == [], page
        seen += answer.status_code == 200
    assert seen >= 10


def pages() -> Iterator[str]:
    yield reverse("admin:index")
    for model, model_admin in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"admin:{name}_changelist")
        if model_admin.has_add_permission.__func__ is admin.ModelAdmin.has_add_permission:  # type: ignore[attr-defined] # a method
            yield reverse(f"admin:{name}_add")
        for row in model._default_manager.all()[:20]:
            yield reverse(f"admin:{name}_change", args=[row.pk])
            yield reverse(f"admin:{name}_history", args=[row.pk])


def test_what_represents_a_secrets_holder_does_not_show_it(lived: Gateway) -> None:
    from accounts.models import ApiKeySecret, OAuthCredential
    from accounts.tokens import held

    credential = OAuthCredential.objects.get()
    rows = [credential, credential.tokens, *ApiKeySecret.objects.all()]
    holders = [held(credential), held(credential).account, lived.issued, *rows]
    assert shows(" ".join(f"{holder!r} {holder!s}" for holder in holders), lived) == []


def test_errors_do_not_quote_what_they_refuse(lived: Gateway) -> None:
    replies = [
        lived.caller(STATED).say(WORDS),
        lived.post(b'{"input":"' + WORDS.encode() + b'"'),
        lived.post(turn(WORDS, client_metadata={"session_id": "é" + STATED})),
    ]
    for reply in replies:
        assert reply.status >= 400
        assert shows(f"{reply.headers} {reply.body!r}", lived) == []

"""API keys through the admin's door: issued and shown once, rotated, never shown again."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from floway.providers import registry
from floway.wire.errors import Unauthenticated
from floway.wire.headers import Headers
from tests.console import rows
from tests.console.pages import all_pages, budgets
from tests.console.people import signed_in

pytestmark = pytest.mark.django_db
ISSUE = reverse("admin:accounts_apikey_add")


def submit(client: Client, **fields: Any) -> Any:
    return client.post(ISSUE, {"provider": registry.default_slug(), "name": "laptop", **budgets(), **fields})


def revealed(page: bytes) -> str:
    found = re.search(r'class="reveal"><code>([^<]+)</code>', page.decode())
    assert found
    return found[1]


def opens(secret: str) -> bool:
    try:
        keys.authenticate(Headers((("x-api-key", secret),)), timezone.now())
    except Unauthenticated:
        return False
    return True


def test_a_new_key_is_shown_once_on_a_page_that_nobody_stores(operator: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    submitted = submit(operator, strict="on", expires_at="2099-01-02T03:04")
    assert submitted.status_code == 302
    waiting = str([session.get_decoded() for session in Session.objects.all()])
    answer = operator.get(submitted["location"])
    secret = revealed(answer.content)
    assert secret not in waiting
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store" or "no-store" in answer["Cache-Control"]
    assert answer.content.decode().count(secret) == 1
    key = ApiKey.objects.get()
    assert (key.name, key.strict, key.expires_at) == ("laptop", True, datetime(2099, 1, 2, 3, 4, tzinfo=UTC))
    assert opens(secret)
    again = operator.get(submitted["location"])
    assert "not to be had again" in again.content.decode()
    assert ApiKey.objects.count() == key.secrets.count() == 1
    for url in all_pages():
        assert secret.encode() not in operator.get(url).content, url
    traces = [str(entry.__dict__) + entry.get_change_message() for entry in LogEntry.objects.all()]
    traces += [str(session.get_decoded()) for session in Session.objects.all()]
    traces += [str(operator.cookies), caplog.text, str(dict(answer.headers))]
    assert not [trace for trace in traces if secret in trace]


def test_a_key_without_a_name_is_refused(operator: Client) -> None:
    assert submit(operator, name="").context["form"].errors
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("fields", [{"provider": "no-such"}, {"expires_at": "soon"}, {"name": "x" * 101}])
def test_odd_fields_are_refused(operator: Client, fields: dict[str, str]) -> None:
    assert submit(operator, **fields).context["form"].errors
    assert not ApiKey.objects.exists()


def test_issuing_takes_the_permission_to_add() -> None:
    client = signed_in("accounts.view_apikey", "accounts.change_apikey")
    assert submit(client).status_code == 403
    assert not ApiKey.objects.exists()


def rotate(client: Client, key: ApiKey, method: str = "post", **fields: Any) -> Any:
    return getattr(client, method)(reverse("admin:accounts_apikey_rotate", args=[key.pk]), fields, follow=True)


def test_rotating_asks_first_then_shows_the_new_secret_and_ends_the_old(operator: Client) -> None:
    issued = keys.issue("laptop")
    rows.make_exchange(issued.key, 1, finished_at=None, status="in_flight")
    page = rotate(operator, issued.key, "get").content.decode()
    assert "stops working at once" in page
    assert "works for a day more" in page
    assert "(1 now)" in page
    assert opens(issued.secret)
    fresh = revealed(rotate(operator, issued.key).content)
    assert opens(fresh)
    assert not opens(issued.secret)


def test_rotating_with_a_grace_keeps_the_old_secret_for_a_while_and_shows_until_when(operator: Client) -> None:
    issued = keys.issue("laptop")
    fresh = revealed(rotate(operator, issued.key, grace="24").content)
    assert opens(fresh)
    assert opens(issued.secret)
    page = operator.get(reverse("admin:accounts_apikey_change", args=[issued.key.pk])).content.decode()
    assert re.search(r"rotated out, ends</span> <time[^>]*>in 23 h", page)


def test_a_secret_waits_for_nobody_else(operator: Client) -> None:
    where = submit(operator)["location"]
    other = signed_in("accounts.view_apikey", "accounts.change_apikey")
    assert b"not to be had again" in other.get(where).content
    assert signed_out_sees_nothing(where)
    assert operator.head(where).status_code == 200
    assert revealed(operator.get(where).content)


def signed_out_sees_nothing(url: str) -> bool:
    return Client().get(url).status_code == 302


def test_rotating_takes_the_permission_to_change() -> None:
    issued = keys.issue("laptop")
    assert rotate(signed_in("accounts.view_apikey"), issued.key).status_code == 403
    assert opens(issued.secret)


def test_a_key_is_edited_and_switched_off_but_not_deleted(operator: Client) -> None:
    issued = keys.issue("laptop")
    url = reverse("admin:accounts_apikey_change", args=[issued.key.pk])
    assert operator.post(url, {"name": "desk", "expires_at": "", "provider": "other", **budgets()}).status_code == 302
    key = ApiKey.objects.get()
    assert (key.name, key.enabled, key.provider) == ("desk", False, issued.key.provider)
    assert not opens(issued.secret)
    assert operator.post(reverse("admin:accounts_apikey_delete", args=[key.pk]), {"post": "yes"}).status_code == 403


def test_the_list_shows_how_a_secret_begins_and_no_more(operator: Client) -> None:
    issued = keys.issue("laptop")
    page = operator.get(reverse("admin:accounts_apikey_changelist")).content.decode()
    assert issued.secret[:10] in page
    assert issued.secret[:11] not in page


def test_keys_are_filtered_by_whether_they_can_call(operator: Client) -> None:
    good = rows.make_key(1)
    old = rows.make_key(2, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    off = rows.make_key(3, enabled=False)
    url = reverse("admin:accounts_apikey_changelist")
    for answer, key in (("yes", good), ("expired", old), ("disabled", off)):
        assert [row.pk for row in operator.get(url, {"calls": answer}).context["cl"].result_list] == [key.pk]
    assert operator.get(url, {"secrets__digest__gt": "0"}).status_code == 400

"""What holds for every page: no secret, a strict policy, nothing inline, no more queries for more rows, markup escaped."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import ApiKeySecret
from floway import markup
from floway.console.csp import POLICY
from responses_app.models import Exchange
from tests.console import rows
from tests.console.pages import all_pages, changelists
from tests.console.people import signed_in

pytestmark = pytest.mark.django_db
INLINE = re.compile(rb"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


def body(client: Client, url: str) -> bytes:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer.content


def test_no_page_shows_a_token_a_key_or_content(operator: Client) -> None:
    rows.make_history(2)
    hashes = [bytes(secret.digest) for secret in ApiKeySecret.objects.all()]
    forbidden = [rows.SENTINEL.encode(), *hashes, *(value.hex().encode() for value in hashes)]
    for url in all_pages():
        page = body(operator, url)
        assert not [secret for secret in forbidden if secret in page], url


def test_tokens_and_hashes_are_not_registered_as_things_to_look_at() -> None:
    registered = {model.__name__ for model in admin.site._registry}
    assert not registered & {"CredentialTokens", "ApiKeySecret", "PendingSignIn", "Provenance", "RecallKey"}


def test_every_page_carries_the_strict_policy_and_nothing_inline(operator: Client) -> None:
    rows.make_history(1)
    for url in all_pages():
        answer = operator.get(url)
        assert answer["Content-Security-Policy"] == POLICY, url
        assert not INLINE.search(answer.content), url


def test_the_sign_in_page_and_a_missing_page_carry_the_policy_too(db: None) -> None:
    client = Client()
    assert client.get(reverse("admin:login"))["Content-Security-Policy"] == POLICY
    assert client.get("/admin/no/such/page/")["Content-Security-Policy"] == POLICY


def test_pages_stay_small(operator: Client) -> None:
    rows.make_history(30)
    sizes = {url: len(body(operator, url)) for url in [reverse("admin:index"), *changelists()]}
    assert max(sizes.values()) < 60_000, sizes


def queries(client: Client, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        body(client, url)
    return len(captured)


def test_three_rows_and_thirty_cost_the_same_number_of_queries(operator: Client) -> None:
    rows.make_history(3)
    urls = [reverse("admin:index"), *changelists()]
    few = {url: queries(operator, url) for url in urls}
    rows.make_history(30, first=4)
    assert {url: queries(operator, url) for url in urls} == few
    assert max(few.values()) < 30


def test_a_conversation_of_thirty_turns_costs_what_one_of_three_costs(operator: Client) -> None:
    key = rows.make_key()
    conversation = rows.make_conversation(key)
    url = reverse("admin:responses_app_conversation_change", args=[conversation.pk])
    parent = None
    for number in range(1, 4):
        exchange = rows.make_exchange(key, number, conversation=conversation)
        parent = rows.make_snapshot(exchange, conversation, parent)
    few = queries(operator, url)
    for number in range(4, 31):
        exchange = rows.make_exchange(key, number, conversation=conversation)
        parent = rows.make_snapshot(exchange, conversation, parent)
    assert queries(operator, url) == few


def test_markup_in_anything_foreign_is_escaped(operator: Client) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    credential = rows.make_credential(email=evil, label=evil, plan=evil, state="needs_sign_in", state_reason=evil)
    credential.quota.update(limit=evil[:64])
    key = rows.make_key(name=evil)
    scope = [{"kind": evil, "id": evil}]
    conversation = rows.make_conversation(key, scope=scope, note={evil: evil}, latest_note=[evil], credential=credential)
    exchange = rows.make_exchange(
        key,
        conversation=conversation,
        credential=credential,
        model=evil,
        status=Exchange.Status.FAILED,
        last_event=evil[:64],
        error_code=evil,
        error_message=evil,
        operator_note=evil,
        identity=[{"name": evil, "value": evil, "source": evil}],
        changes=[{"kind": evil, "field": evil, "reason": evil}],
        upstream_ids={evil: evil},
    )
    rows.make_snapshot(exchange, conversation, opaque_window=evil, model=evil)
    for url in all_pages():
        page = body(operator, url)
        assert b"<script>alert" not in page, url
        assert b"<img src=x" not in page, url


def test_what_utf8_cannot_carry_is_written_as_an_escape() -> None:
    assert markup.clean("a\ud800b") == "a\\ud800b"
    assert markup.short_id("\ud800" * 9).encode()


def test_values_that_would_disguise_themselves_are_shown_as_escapes(operator: Client) -> None:
    odd = "\u202e\x1b[31m"
    key = rows.make_key()
    conversation = rows.make_conversation(key, scope=[{"kind": "thread", "id": odd}], note={"id": odd})
    exchange = rows.make_exchange(key, conversation=conversation, identity=[{"name": "id", "value": odd, "source": odd}])
    snapshot = rows.make_snapshot(exchange, conversation)
    rows.make_item(conversation)
    for row in (conversation, exchange, snapshot):
        page = body(operator, reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])).decode()
        assert "\\u202e" in page
        assert "\u202e" not in page
        assert "\x1b" not in page
    body(operator, reverse("admin:responses_app_conversation_changelist"))


def test_stored_json_of_an_unexpected_shape_does_not_break_a_page(operator: Client) -> None:
    key = rows.make_key()
    conversation = rows.make_conversation(key, scope=[{"id": 7}], note="text")
    rows.make_exchange(key, conversation=conversation, identity={"a": 1}, changes=[1, None], upstream_ids=["x"])
    for url in all_pages():
        body(operator, url)


def test_a_visitor_is_sent_to_the_sign_in_page() -> None:
    rows.make_history(1)
    for url in all_pages():
        answer = Client().get(url)
        assert answer.status_code == 302
        assert answer["location"].startswith(reverse("admin:login"))


def test_staff_without_permissions_see_nothing() -> None:
    rows.make_history(1)
    client = signed_in()
    page = body(client, reverse("admin:index"))
    assert b"operator1@example.com" not in page
    assert b"key 1" not in page
    for url in all_pages():
        if url != reverse("admin:index"):
            assert client.get(url).status_code in {403, 404}, url


def test_what_may_be_seen_is_seen_piece_by_piece() -> None:
    rows.make_history(1)
    page = body(signed_in("accounts.view_oauthcredential"), reverse("admin:index"))
    assert b"operator1@example.com" in page
    assert b"Latest exchanges" not in page
    assert b"Usage by key" not in page

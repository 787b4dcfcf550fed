"""Payload capture through the door: off by default, whole when on, without secrets, gone after its time."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts import maintenance
from accounts.models import ApiKey, AuditEntry
from floway import resealing
from responses_app import capturing
from responses_app.models import Payload
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import turn
from tests.fakes.upstream import FakeUpstream


@pytest.fixture
def capturing_gateway(gateway: Gateway) -> Gateway:
    """Whose key captures for the next hour."""
    ApiKey.objects.update(capture_until=datetime.now(UTC) + timedelta(hours=1))
    return gateway


def captured(gateway: Gateway) -> list[capturing.Shown]:
    return capturing.parts_of(Payload.objects.get(pk=gateway.exchange().pk))


def test_nothing_is_captured_unless_a_key_asks_for_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.say("hello").status == 200
    ApiKey.objects.update(capture_until=datetime.now(UTC) - timedelta(seconds=1))
    assert gateway.say("hello").status == 200
    gateway.exchange()
    assert not Payload.objects.exists()


def test_a_turn_is_kept_as_it_was_asked_sent_heard_and_told(capturing_gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = capturing_gateway.post(turn("canary-words", temperature=0.25), x_mine="yes")
    asked, sent, heard, told = captured(capturing_gateway)
    assert '"temperature":0.25' in asked.text
    assert "x-mine: yes" in asked.head
    assert "canary-words" in sent.text
    assert "temperature" not in sent.text
    assert sent.head[0].startswith("POST http://127.0.0.1")
    assert heard.head[0] == "200"
    assert "event: response.completed" in heard.text
    assert reply.json["id"] in told.text
    assert b"canary-words" not in bytes(Payload.objects.get().sealed)


def test_a_streamed_answer_is_kept_byte_for_byte(capturing_gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = capturing_gateway.post(turn("hello", stream=True))
    told = captured(capturing_gateway)[-1]
    assert told.text.encode() == reply.body
    assert (told.size, told.cut) == (len(reply.body), False)


def test_a_refusal_and_a_caller_that_left_are_kept_too(capturing_gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.status(400, {"error": {"message": "because", "type": "invalid_request_error", "code": None}}))
    assert capturing_gateway.say("hello").status == 400
    asked, _, heard, told = captured(capturing_gateway)
    assert "because" in heard.text
    assert told.head == ["400"]
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=2))
    with capturing_gateway.stream(turn("hello")) as stream:
        stream.next("response.created")
        stream.leave()
    gate.open()
    assert "response.created" in captured(capturing_gateway)[-1].text
    assert capturing_gateway.say("hello", model=5).status == 400
    asked, told = captured(capturing_gateway)
    assert '"model":5' in asked.text


def test_no_secret_is_among_what_is_kept(capturing_gateway: Gateway, upstream: FakeUpstream) -> None:
    capturing_gateway.post(turn("hello"), cookie="a=cookie-of-theirs", x_api_key=capturing_gateway.key)
    parts = captured(capturing_gateway)
    text = "\n".join([*(part.text for part in parts), *(line for part in parts for line in part.head)])
    token = (upstream.turns[0].header("authorization") or "").removeprefix("Bearer ")
    assert token
    for secret in (capturing_gateway.key, token, "cookie-of-theirs"):
        assert secret not in text
    assert "authorization: (left out)" in parts[1].head


def test_a_part_that_is_too_long_is_cut_and_says_so(
    capturing_gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturing, "LARGEST_PART", 100)
    capturing_gateway.say("x" * 500)
    asked = captured(capturing_gateway)[0]
    assert (len(asked.text), asked.cut) == (100, True)
    assert asked.size > 500


def test_what_the_caller_compressed_is_kept_readable(capturing_gateway: Gateway, upstream: FakeUpstream) -> None:
    body = gzip.compress(b'{"model":"gpt-5.5","input":"squeezed"}')
    headers = capturing_gateway.headers({"content-encoding": "gzip", "content-length": str(len(body))})
    assert capturing_gateway.send("POST", "/v1/responses", body, headers).status == 200
    assert "squeezed" in captured(capturing_gateway)[0].text


def test_the_maintenance_loop_deletes_what_is_old(
    capturing_gateway: Gateway, upstream: FakeUpstream, settings: LazySettings
) -> None:
    settings.FLOWAY_CAPTURE_HOURS = 2
    for _ in range(2):
        capturing_gateway.say("hello")
    capturing_gateway.exchange()
    old = Payload.objects.earliest("pk")
    Payload.objects.filter(pk=old.pk).update(captured_at=datetime.now(UTC) - timedelta(hours=2))
    assert maintenance.once("test")
    assert list(Payload.objects.values_list("pk", flat=True)) != [old.pk]
    assert Payload.objects.count() == 1


def test_payloads_are_sealed_anew_when_keys_rotate(capturing_gateway: Gateway, upstream: FakeUpstream) -> None:
    capturing_gateway.say("hello")
    capturing_gateway.exchange()
    column = next(column for column in resealing.columns() if column.model is Payload)
    assert sum(resealing.by_key(column).values()) == 1
    payload = Payload.objects.get()
    assert column.unseal((payload.pk, payload.sealed, payload.pk))


def test_a_payload_is_read_only_by_who_may_read_content_and_the_reading_is_noted(
    capturing_gateway: Gateway, upstream: FakeUpstream
) -> None:
    from django.urls import reverse

    from tests.console.people import signed_in

    capturing_gateway.say("<script>alert(1)</script>")
    exchange = capturing_gateway.exchange()
    pages = {name: reverse(f"admin:responses_app_exchange_{name}", args=[exchange.pk]) for name in ("change", "payload")}
    pages["file"] = f"{pages['payload'].removesuffix('payload/')}payload_file/"
    viewer = signed_in("responses_app.view_exchange")
    assert "you may not read it" in viewer.get(pages["change"]).content.decode()
    assert [viewer.get(pages[name]).status_code for name in ("payload", "file")] == [403, 403]
    assert not AuditEntry.objects.filter(action__startswith="payload").exists()
    reader = _reader(viewer)
    assert pages["payload"] in reader.get(pages["change"]).content.decode()
    shown = reader.get(pages["payload"])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown.content.decode()
    assert b"<script>alert" not in shown.content
    assert len(shown.content) < 60_000
    file = reader.get(pages["file"])
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert "no-store" in file.headers["Cache-Control"]
    assert file.json()["parts"][0]["title"] == "Asked by the caller"
    read = AuditEntry.objects.filter(action__startswith="payload").order_by("pk")
    assert list(read.values_list("action", flat=True)) == ["payload read", "payload downloaded"]


def _reader(viewer: Client) -> Client:
    from django.contrib.auth.models import Permission, User

    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_content"))
    return viewer

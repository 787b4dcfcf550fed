"""A login dies: the operator is told, once, by a signed webhook and by e-mail, and again when it is back."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail

from accounts import maintenance, notices, webhook
from accounts.models import Notice, OAuthCredential
from floway import transport
from floway.addresses import may_be_reached
from floway.providers.codex.simulated.http import Exchange, Request, Server
from tests.fakes.factories import make_credential

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "a secret to sign with"
State = OAuthCredential.State


class Receiver:
    """The operator's webhook, on a loopback socket."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.status = 200
        self.headers: list[tuple[str, str]] = []
        self._server = Server(socket.create_server(("127.0.0.1", 0)), self._answer)
        self._server.start()
        self.url = f"{self._server.url}/hook?token=1"

    def _answer(self, exchange: Exchange) -> None:
        self.requests.append(exchange.request)
        exchange.answer(self.status, b"", self.headers)

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[Receiver]:
    made = Receiver()
    settings.FLOWAY_WEBHOOK_URL, settings.FLOWAY_WEBHOOK_SECRET = made.url, SECRET
    yield made
    made.stop()
    if (held := transport.connecting._sessions.pop("webhook", None)) is not None:
        held.close()


def dead(**over: Any) -> OAuthCredential:
    credential = make_credential(**over)
    credential.enter(State.NEEDS_SIGN_IN, "Refresh refused (refresh_token_reused): used before.")
    return credential


def come_round() -> None:
    maintenance.tell("")


def later() -> None:
    """The time for the next try has come."""
    Notice.objects.update(next_try_at=datetime.now(UTC) - timedelta(seconds=1))


def test_a_death_is_told_once_signed_and_without_secrets(receiver: Receiver) -> None:
    credential = dead()
    for _ in range(3):
        come_round()
        later()
    (request,) = receiver.requests
    assert (request.method, request.target) == ("POST", "/hook?token=1")
    timestamp = request.header("x-floway-timestamp")
    expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert request.header("x-floway-signature") == f"v1={expected}"
    told = json.loads(request.body)
    assert told["event"] == "credential.needs_sign_in"
    assert told["credential"]["id"] == credential.pk
    assert "refresh_token_reused" in told["reason"]
    assert told["what_to_do"]
    assert told["admin_url"].endswith(f"/{credential.pk}/change/")
    assert request.header("x-floway-delivery") == told["id"] == str(Notice.objects.get().pk)
    assert b"rt_simulated" not in request.body
    assert b"eyJ" not in request.body


def test_a_recovery_is_told_after_its_death_and_a_second_death_again(receiver: Receiver) -> None:
    credential = dead()
    come_round()
    credential.enter(State.ACTIVE, "")
    come_round()
    come_round()
    credential.enter(State.NEEDS_SIGN_IN, "again")
    come_round()
    events = [json.loads(request.body)["event"] for request in receiver.requests]
    assert events == ["credential.needs_sign_in", "credential.recovered", "credential.needs_sign_in"]


def test_a_login_that_was_disabled_by_a_person_is_no_news(receiver: Receiver) -> None:
    make_credential().enter(State.DISABLED, "by me")
    come_round()
    assert receiver.requests == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_receiver_that_fails_is_tried_again_more_and_more_patiently(receiver: Receiver, status: int) -> None:
    receiver.status = status
    receiver.headers = [("location", "http://169.254.169.254/")] if status == 302 else []
    dead()
    waits = []
    for _ in range(3):
        come_round()
        notice = Notice.objects.get()
        waits.append(notice.next_try_at - datetime.now(UTC))
        assert notice.last_error == f"NotDelivered: HTTP {status}"
        later()
    assert waits == sorted(waits)
    receiver.status, receiver.headers = 204, []
    come_round()
    assert Notice.objects.get().sent_at is not None
    assert len({request.header("x-floway-delivery") for request in receiver.requests}) == 1
    assert len(receiver.requests) == 4


def test_after_the_last_try_it_is_given_up(receiver: Receiver) -> None:
    receiver.status = 500
    dead()
    for _ in range(15):
        come_round()
        later()
    assert Notice.objects.get().given_up_at is not None
    assert len(receiver.requests) == 10


def test_two_processes_with_the_same_notice_send_it_once(receiver: Receiver) -> None:
    dead()
    notices.note()
    notice = Notice.objects.get()
    assert [notices._claim(notice, datetime.now(UTC)) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://0.0.0.0/", "https://169.254.1.1/"]
)
def test_addresses_that_a_machine_keeps_for_itself_are_never_called(url: str, settings: LazySettings) -> None:
    settings.FLOWAY_WEBHOOK_URL, settings.FLOWAY_WEBHOOK_SECRET = url, SECRET
    dead()
    come_round()
    assert Notice.objects.get().sent_at is None


def test_a_name_that_leads_to_a_denied_address_is_refused_before_a_byte_is_said(
    receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FLOWAY_WEBHOOK_URL = receiver.url.replace("127.0.0.1", "localhost")
    monkeypatch.setattr(webhook, "may_be_reached", lambda address, loopback_only: False)
    dead()
    come_round()
    assert receiver.requests == []
    assert "PeerDenied" in Notice.objects.get().last_error


@pytest.mark.parametrize(
    ("address", "https", "http"),
    [
        ("93.184.216.34", True, False),
        ("10.1.2.3", True, False),
        ("2606:2800:220:1::1", True, False),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("2002:a9fe:a9fe::1", False, False),
        ("fe80::1%eth0", False, False),
        ("fd00:ec2::254", False, False),
        ("100.100.100.200", False, False),
        ("0.0.0.0", False, False),
        ("224.0.0.1", False, False),
        ("no address", False, False),
    ],
)
def test_the_list_of_addresses_says_what_may_be_reached(address: str, https: bool, http: bool) -> None:
    assert may_be_reached(address, loopback_only=False) is https
    assert may_be_reached(address, loopback_only=True) is http


def test_an_email_says_what_happened_and_what_to_do(settings: LazySettings) -> None:
    settings.FLOWAY_NOTICE_EMAILS = ["ops@example.com"]
    dead(label="My\nlogin")
    come_round()
    (sent,) = mail.outbox
    assert sent.to == ["ops@example.com"]
    assert sent.subject == "[Floway] My login: needs sign-in"
    assert "refresh_token_reused" in sent.body
    assert "Sign in again" in sent.body
    OAuthCredential.objects.get().enter(State.ACTIVE, "")
    come_round()
    assert mail.outbox[1].subject == "[Floway] My login: is back"


def test_a_mail_server_that_fails_is_tried_again(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FLOWAY_NOTICE_EMAILS = ["ops@example.com"]

    def refuse(*_: object) -> int:
        raise smtplib.SMTPServerDisconnected("password leaked here")

    send = mail.EmailMessage.send
    monkeypatch.setattr(mail.EmailMessage, "send", refuse)
    dead()
    come_round()
    assert Notice.objects.get().last_error == "SMTPServerDisconnected"
    monkeypatch.setattr(mail.EmailMessage, "send", send)
    later()
    come_round()
    assert Notice.objects.get().sent_at is not None

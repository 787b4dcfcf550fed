"""What credentials have left: told by answers, asked for gently, kept as history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import quota
from accounts.models import OAuthCredential, QuotaReading, QuotaSample
from floway.providers import registry
from floway.providers.codex.protocol import quota as told
from floway.providers.contract import QuotaWindow
from floway.wire.json import dumps
from tests.conftest import Gateway
from tests.fakes.caller import turn
from tests.fakes.factories import make_credential
from tests.fakes.tokens import BOB
from tests.fakes.upstream import FakeUpstream

USAGE = "/backend-api/wham/usage"
NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)


def asked(upstream: FakeUpstream) -> int:
    return sum(request.path == USAGE for request in upstream.requests)


def test_a_turn_leaves_readings_and_a_sample_of_its_quarter_of_an_hour(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("one")
    gateway.say("two")
    gateway.exchange()
    assert {(row.limit, row.window): row.used_percent for row in QuotaReading.objects.all()} == {
        ("codex", "primary"): 12,
        ("codex", "secondary"): 34,
    }
    samples = QuotaSample.objects.all()
    assert {sample.slot.minute % 15 for sample in samples} == {0}
    assert len(samples) in {2, 4}, "a sample a window and quarter of an hour"


@pytest.mark.django_db
def test_history_has_one_row_for_each_window_and_quarter_of_an_hour() -> None:
    credential = make_credential()
    for minutes, used in ((0, 10.0), (5, 20.0), (20, 30.0)):
        quota.note(credential.pk, [QuotaWindow("codex", "primary", used, 300, None)], NOW + timedelta(minutes=minutes))
    assert list(QuotaSample.objects.order_by("slot").values_list("slot", "used_percent")) == [
        (datetime(2026, 11, 23, 12, 30, tzinfo=UTC), 20.0),
        (datetime(2026, 11, 23, 12, 45, tzinfo=UTC), 30.0),
    ]
    assert QuotaReading.objects.get().used_percent == 30


def test_a_credential_that_nobody_has_heard_of_is_asked_once(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    assert (quota.poll_due(), quota.poll_due()) == (2, 0)
    assert asked(upstream) == 2
    assert QuotaReading.objects.filter(credential__email=BOB.email, window="secondary").get().used_percent == 34


def test_what_a_turn_has_told_need_not_be_asked(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("hello")
    gateway.exchange()
    assert quota.poll_due() == 0
    assert asked(upstream) == 0
    assert quota.poll_due(timezone.now() + timedelta(hours=1)) == 1


def test_an_upstream_that_does_not_answer_is_not_asked_again_at_once(
    gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "_usage", lambda exchange, account: exchange.answer_json(503, {}))
    assert (quota.poll_due(), quota.poll_due()) == (1, 0)
    assert QuotaReading.objects.count() == 0


def test_the_dead_and_the_disabled_are_not_asked(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.credential is not None
    gateway.credential.enter(OAuthCredential.State.DISABLED, "")
    assert quota.poll_due() == 0
    assert upstream.requests == []


@pytest.mark.django_db
def test_old_history_is_forgotten() -> None:
    credential = make_credential(state=OAuthCredential.State.DISABLED)
    quota.note(credential.pk, [QuotaWindow("codex", "primary", 1, 300, None)], NOW)
    quota.poll_due(NOW + timedelta(days=36))
    assert QuotaSample.objects.count() == 0
    assert QuotaReading.objects.count() == 1


def usage(**over: Any) -> Any:
    window = {
        "used_percent": 42,
        "limit_window_seconds": 18000,
        "reset_after_seconds": 60,
        "reset_at": int(NOW.timestamp()) + 60,
    }
    limit = {"allowed": True, "limit_reached": False, "primary_window": window, "secondary_window": None}
    return {"plan_type": "pro", "rate_limit": limit, **over}


def test_the_usage_endpoint_tells_every_limit_under_its_name() -> None:
    further = [
        {"limit_name": "other", "metered_feature": "x", "rate_limit": usage()["rate_limit"]},
        "nonsense",
        {"limit_name": 7},
    ]
    body = usage(additional_rate_limits=further, credits={"has_credits": False, "unlimited": False, "balance": "0"})
    found = told.usage(dumps(body), NOW)
    assert found is not None
    assert [(window.limit, window.window, window.used_percent, window.minutes) for window in found] == [
        ("codex", "primary", 42, 300),
        ("other", "primary", 42, 300),
        ("credits", "balance", 100, None),
    ]
    assert found[0].resets_at == datetime.fromtimestamp(int(NOW.timestamp()) + 60, UTC)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"<html>"])
def test_what_is_no_usage_tells_nothing(body: bytes) -> None:
    assert told.usage(body, NOW) is None


@pytest.mark.parametrize("limit", [None, 7, [], {"primary_window": 3}, {"primary_window": {"used_percent": "x"}}])
def test_a_limit_that_cannot_be_read_is_passed_over(limit: Any) -> None:
    assert told.usage(dumps(usage(rate_limit=limit)), NOW) == ()


@pytest.mark.parametrize("stream", [True, False])
def test_what_an_answer_tells_of_quotas_is_not_worth_a_turn(
    gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    def unreadable(*_: object) -> None:
        raise ValueError("a header of next year")

    monkeypatch.setattr(registry.get("codex"), "quota", unreadable)
    assert gateway.post(turn("hello", stream=stream)).status == 200
    assert gateway.exchange().status == "completed"

"""The operations page: is all well, what happened, what is left to set up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from floway.console.operations import Overview, overview
from responses_app.models import Exchange
from tests.console import rows
from tests.console.rows import NOW

pytestmark = pytest.mark.django_db


def seen() -> Overview:
    return overview(User(is_superuser=True, is_active=True), NOW)


def open_steps() -> list[str]:
    return [step.title for step in seen().first_run if not step.done]


def test_the_checklist_shrinks_step_by_step_and_disappears(operator: Client) -> None:
    assert open_steps() == ["Sign in with an account of yours", "Issue an API key", "Make the first call"]
    assert b"/v1/responses" in operator.get(reverse("admin:index")).content
    rows.make_credential()
    assert open_steps() == ["Issue an API key", "Make the first call"]
    key = rows.make_key()
    rows.make_exchange(key, 1, status=Exchange.Status.FAILED)
    assert open_steps() == ["Make the first call"]
    rows.make_exchange(key, 2, now=NOW - timedelta(days=40))
    assert seen().all_done
    assert b"First run" not in operator.get(reverse("admin:index")).content


def test_only_the_last_day_is_counted() -> None:
    key = rows.make_key()
    rows.make_exchange(key, 1)
    rows.make_exchange(key, 2, status=Exchange.Status.IN_FLIGHT, deadline_at=timezone.now() + timedelta(hours=1))
    rows.make_exchange(key, 3, status=Exchange.Status.FAILED, error_code="server_error")
    rows.make_exchange(key, 4, started_at=NOW - timedelta(hours=25), status=Exchange.Status.FAILED, error_code="old")
    traffic = seen().traffic
    assert traffic is not None
    day = traffic.day
    assert (day.requests, day.in_flight, day.went_wrong, day.completed) == (3, 1, 1, 1)
    assert [(trouble.error_code, trouble.times) for trouble in day.troubles] == [("server_error", 1)]
    assert [use.requests for use in day.by_key] == [3]
    assert traffic.latest[0].status == "in_flight"
    assert len(traffic.latest) == 4


def test_a_credential_that_needs_a_sign_in_is_said_first() -> None:
    rows.make_credential(1)
    assert not seen().alerts
    dead = rows.make_credential(2, state="needs_sign_in", state_reason="refresh refused")
    alerts = seen().alerts
    assert [alert.text for alert in alerts] == ["operator2@example.com: needs sign-in"]
    assert alerts[0].url.endswith(f"/{dead.pk}/change/")


def test_no_usable_credential_is_an_alert_and_a_disabled_one_alone_is_none() -> None:
    rows.make_credential(1, state="disabled")
    assert [alert.text for alert in seen().alerts] == ["No credential is usable: requests are answered 503."]
    rows.make_credential(2)
    assert not seen().alerts


def test_a_spent_allowance_is_told_until_it_resets() -> None:
    credential = rows.make_credential()
    credential.quota.filter(window="primary").update(used_percent=100)
    assert [alert.text for alert in seen().alerts] == ["operator1@example.com: allowance spent"]
    credential.quota.filter(window="primary").update(resets_at=NOW - timedelta(seconds=1))
    assert not seen().alerts

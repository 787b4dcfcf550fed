"""The operations page: is all well, what happened, what is left to set up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey
from floway.console import scopes
from floway.console.operations import Overview, overview
from responses_app.advice import advice
from responses_app.cache_reasons import Cause
from responses_app.models import Conversation, Exchange
from tests.console import rows
from tests.console.people import signed_in
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


def asked(**over: Any) -> None:
    """A request of the last hour, ended as said."""
    key = ApiKey.objects.first() or rows.make_key()
    rows.make_exchange(key, Exchange.objects.count() + 1, started_at=NOW - timedelta(minutes=10), **over)


def test_all_is_well_is_not_said_while_requests_fail(operator: Client) -> None:
    rows.make_credential()
    for _ in range(30):
        asked()
    assert not seen().alerts
    asked(status=Exchange.Status.FAILED, ended_by=Exchange.EndedBy.UPSTREAM_CUT, error_code="server_error")
    assert [(alert.tone, alert.text) for alert in seen().alerts] == [
        ("warn", "1 of 31 requests of the last hour failed, most often with server_error.")
    ]
    for _ in range(3):
        asked(status=Exchange.Status.FAILED, ended_by=Exchange.EndedBy.UNREACHED, error_code="upstream_unreachable")
    assert [(alert.tone, alert.text) for alert in seen().alerts] == [
        ("bad", "4 of 34 requests of the last hour failed, most often with upstream_unreachable.")
    ]
    Exchange.objects.update(started_at=timezone.now() - timedelta(minutes=1))
    page = operator.get(reverse("admin:index")).content.decode()
    assert "All is well" not in page
    assert "Something needs you" in page


def test_callers_that_leave_and_callers_that_err_are_not_the_gateways_failures() -> None:
    rows.make_credential()
    for _ in range(10):
        asked()
    asked(status=Exchange.Status.FAILED, ended_by=Exchange.EndedBy.CALLER, error_code="caller_left")
    asked(status=Exchange.Status.REFUSED, ended_by=Exchange.EndedBy.GATEWAY, error_code="invalid_type", http_status=400)
    assert not seen().alerts
    for _ in range(3):
        asked(status=Exchange.Status.REFUSED, ended_by=Exchange.EndedBy.GATEWAY, error_code="invalid_type", http_status=400)
    assert [(alert.tone, alert.text) for alert in seen().alerts] == [
        ("warn", "4 of 15 requests of the last hour were refused, most often with invalid_type.")
    ]


def test_what_failed_before_the_last_hour_is_over() -> None:
    rows.make_credential()
    asked(status=Exchange.Status.FAILED, ended_by=Exchange.EndedBy.UNREACHED)
    Exchange.objects.update(started_at=NOW - timedelta(minutes=61))
    assert not seen().alerts


@pytest.mark.parametrize(
    ("trouble", "kind", "hint"),
    [
        (("upstream_unreachable", 503, "unreached"), "the way to the upstream", "proxy"),
        (("usage_limit_reached", 429, "upstream_refused"), "a limit", "reset"),
        (("never_seen_before", 429, "upstream_refused"), "a limit", "passes by itself"),
        (("never_seen_before", 422, "gateway"), "the caller’s request", "change its request"),
        (("never_seen_before", 500, "upstream"), "the upstream", "passes by itself"),
        (("", None, "idle"), "the upstream", "FLOWAY_UPSTREAM_IDLE_SECONDS"),
        (("", 500, "gateway"), "the gateway", "log"),
        (("server_error", 200, "upstream_cut"), "the way to the upstream", "Cut"),
    ],
)
def test_every_error_comes_with_what_to_do(trouble: tuple[str, int | None, str], kind: str, hint: str) -> None:
    found = advice(*trouble)
    assert found.kind == kind
    assert hint in found.hint


def test_errors_are_told_by_kind_with_a_hint(operator: Client) -> None:
    code, by = "upstream_unreachable", Exchange.EndedBy.UNREACHED
    rows.make_exchange(
        rows.make_key(), 1, now=timezone.now(), status=Exchange.Status.FAILED, ended_by=by, error_code=code, http_status=503
    )
    page = operator.get(reverse("admin:index")).content.decode()
    assert "the way to the upstream" in page
    assert "Name, TLS, proxy or connection" in page


def test_the_live_part_shows_what_runs_first_and_is_fetched_by_a_file_of_ours(operator: Client) -> None:
    key, now = rows.make_key(), timezone.now()
    rows.make_exchange(key, 1, now=now)
    deadline = now + timedelta(hours=1)
    rows.make_exchange(key, 5, now=now, status=Exchange.Status.IN_FLIGHT, model="runs-now", deadline_at=deadline)
    piece = operator.get(reverse("admin:live")).content.decode()
    assert piece.index("runs-now") < piece.index("completed")
    assert "<html" not in piece
    page = operator.get(reverse("admin:index")).content.decode()
    assert f'data-live="{reverse("admin:live")}"' in page
    assert "console/live.js" in page


def test_the_live_part_is_for_those_who_may_see_exchanges() -> None:
    assert Client().get(reverse("admin:live")).status_code == 302
    viewer = signed_in()
    assert viewer.get(reverse("admin:live")).status_code == 403
    may = Permission.objects.get(content_type__app_label="responses_app", codename="view_exchange")
    User.objects.get().user_permissions.add(may)
    assert viewer.get(reverse("admin:live")).status_code == 200


def test_conversations_are_a_tree_of_whatever_steps_their_provider_names() -> None:
    key, other = rows.make_key(), rows.make_key(2)
    galaxy, star = {"kind": "galaxy", "id": "g"}, {"kind": "star", "id": "s"}
    moments = iter(range(1, 9))

    def talk(owner: ApiKey, number: int, *scope: dict[str, str]) -> Conversation:
        used = NOW - timedelta(minutes=next(moments))
        return rows.make_conversation(owner, number, scope=list(scope), last_used_at=used)

    first = talk(key, 1, galaxy, star, {"kind": "planet", "id": "a"})
    second = talk(key, 2, galaxy, star, {"kind": "planet", "id": "b"})
    whole = talk(key, 3, galaxy)
    foreign = talk(other, 4, galaxy)
    bare = talk(key, 5)
    drawn = [(line.depth, [step.id for step in line.steps], line.conversation) for line in scopes.recent()]
    assert drawn == [
        (0, ["g"], whole),
        (1, ["s"], None),
        (2, ["a"], first),
        (2, ["b"], second),
        (0, ["g"], foreign),
        (0, [str(bare.pk)], bare),
    ]


def test_steps_without_branches_stand_in_one_line(operator: Client) -> None:
    rows.make_conversation(rows.make_key(), scope=[{"kind": "session", "id": "one"}, {"kind": "thread", "id": "two"}])
    assert [[step.id for step in line.steps] for line in scopes.recent()] == [["one", "two"]]
    page = operator.get(reverse("admin:index")).content.decode()
    assert "Conversations used last" in page


def test_cache_misses_are_counted_by_reason() -> None:
    key, credentials = rows.make_key(), [rows.make_credential(1), rows.make_credential(2)]
    conversation = rows.make_conversation(key)
    for number, credential, cached in ((9, credentials[0], 0), (6, credentials[0], 9_900), (3, credentials[1], 0)):
        rows.make_exchange(
            key, number, conversation=conversation, credential=credential, input_tokens=10_000, cached_tokens=cached
        )
    misses = seen().traffic.misses  # type: ignore[union-attr] # a superuser sees it
    assert (misses.looked_at, misses.found) == (3, 1)
    assert {(miss.cause, miss.times, miss.lost) for miss in misses.by_cause} == {
        (Cause.NEW_SESSION, 1, 10_000),
        (Cause.OTHER_CREDENTIAL, 1, 9_984),
    }

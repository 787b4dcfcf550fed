"""The API for automation, through the door: who may ask for what, what is told, what is changed, and what is recorded."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import operator_tokens, second_factor
from accounts.models import ApiKey, AuditEntry, KeyBudget, OAuthCredential, OperatorToken
from responses_app import content
from responses_app.models import SegmentEntry, Snapshot
from tests.console import rows
from tests.console.people import in_role, superuser
from tests.console.rows import SENTINEL, make_credential, make_exchange, make_history, make_key

pytestmark = pytest.mark.django_db
LISTS = ("credentials", "keys", "conversations", "snapshots", "exchanges", "workers", "audit")


class Program:
    """A program with a token."""

    def __init__(self, role: str = "owner", *, read_only: bool = False, **over: Any) -> None:
        self.user = User.objects.create_user(f"{role}-robot", password=None, is_staff=True)
        self.user.groups.add(Group.objects.get(name=role))
        issued = operator_tokens.issue(self.user, "robot", read_only=read_only, expires_at=over.get("expires_at"))
        self.token, self.secret = issued.token, issued.secret
        self.client = Client(headers={"authorization": f"Bearer {self.secret}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/{path}", query)

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(f"/api/{path}", json.dumps(body), content_type="application/json")

    def patch(self, path: str, **body: Any) -> Any:
        return self.client.patch(f"/api/{path}", json.dumps(body), content_type="application/json")


def error(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = response.json()["error"]
    assert {"message", "type", "param", "code"} <= set(found)
    return found


# --- who may ----------------------------------------------------------------------------------------------------------------


def test_a_token_stands_for_its_person_until_it_ends_or_the_person_does() -> None:
    robot = Program()
    assert robot.get("keys").status_code == 200
    for change in ({"expires_at": timezone.now() - timedelta(seconds=1)}, {"revoked_at": timezone.now()}):
        OperatorToken.objects.update(**change)
        refused = robot.get("keys")
        assert (refused.status_code, error(refused)["code"]) == (401, "invalid_operator_token")
        assert refused["www-authenticate"] == "Bearer"
        OperatorToken.objects.update(expires_at=None, revoked_at=None)
    for leaves in ({"is_active": False}, {"is_active": True, "is_staff": False}):
        User.objects.filter(pk=robot.user.pk).update(**leaves)
        assert robot.get("keys").status_code == 401
    assert Client().get("/api/keys").status_code == 401
    assert Client(headers={"authorization": "Bearer fwo_guess"}).get("/api/keys").status_code == 401


def test_permissions_are_the_persons(db: None) -> None:
    key = make_key()
    viewer = Program("viewer")
    assert {name: viewer.get(name).status_code for name in LISTS} == dict.fromkeys(LISTS, 200) | {"audit": 403}
    assert error(viewer.post(f"keys/{key.pk}/rotate"))["code"] == "permission_denied"
    assert viewer.post("keys", name="mine").status_code == 403
    assert not ApiKey.objects.exclude(pk=key.pk).exists()


def test_a_token_that_only_looks_changes_nothing() -> None:
    credential, robot = make_credential(), Program(read_only=True)
    assert robot.get(f"credentials/{credential.pk}").status_code == 200
    assert error(robot.post(f"credentials/{credential.pk}/disable"))["code"] == "read_only_token"
    assert OAuthCredential.objects.get().state == "active"


def test_a_session_needs_the_second_factor_and_writing_the_csrf_token(settings: LazySettings) -> None:
    credential = make_credential()
    browser = Client(enforce_csrf_checks=True)
    user = User.objects.create_superuser("person", "", None)
    browser.force_login(user)
    assert browser.get("/api/keys").status_code == 200
    url = f"/api/credentials/{credential.pk}/disable"
    assert browser.post(url, content_type="application/json").status_code == 403
    page = browser.get("/admin/").cookies[settings.CSRF_COOKIE_NAME].value
    sent = browser.post(url, content_type="application/json", headers={"x-csrftoken": page})
    assert sent.status_code == 200
    secret = second_factor.offer(user, timezone.now())
    second_factor.confirm(user, second_factor.code_at(secret, second_factor.step_at(timezone.now())), timezone.now())
    assert error(browser.get("/api/keys"))["code"] == "second_factor_required"


def test_requests_are_counted_for_all_processes(settings: LazySettings) -> None:
    settings.FLOWAY_API_REQUESTS_PER_MINUTE = 2
    robot, other = Program(), Program("viewer")
    assert [robot.get("keys").status_code for _ in range(2)] == [200, 200]
    refused = robot.get("keys")
    # A minute that begins between two requests begins the count, too.
    if refused.status_code == 429:
        assert error(refused)["code"] == "throttled"
        assert 1 <= int(refused["retry-after"]) <= 60
    assert other.get("keys").status_code == 200


# --- what is told -----------------------------------------------------------------------------------------------------------


def test_every_list_is_told_page_by_page_without_a_secret_and_with_few_queries() -> None:
    make_history(3)
    robot = Program()
    for name in LISTS:
        with CaptureQueriesContext(connection) as queries:
            whole = robot.get(name)
        assert whole.status_code == 200, name
        assert len(queries) < 16, name
        assert SENTINEL not in whole.content.decode()
        assert whole["cache-control"] == "private, no-store"
        first = robot.get(name, limit=2).json()
        second = robot.client.get(first["next"]).json() if first["next"] else {"results": []}
        assert first["results"] + second["results"] == whole.json()["results"][: len(first["results"] + second["results"])]
    assert SENTINEL not in robot.get(f"snapshots/{Snapshot.objects.latest('pk').response_id}").content.decode()


def test_exchanges_are_narrowed_by_what_is_asked_for() -> None:
    one, other = make_key(), make_key(2)
    make_exchange(one, 1)
    make_exchange(one, 2, status="failed", error_code="upstream_died", model="sample-2")
    make_exchange(other, 3)
    robot = Program("viewer")

    def found(**asked: Any) -> list[int]:
        return [int(row["request_id"][4:], 16) for row in robot.get("exchanges", **asked).json()["results"]]

    assert found() == [1, 2, 3]
    assert found(key=one.pk) == [1, 2]
    assert found(model="sample-2", error_code="upstream_died", status="failed") == [2]
    assert found(since=(rows.NOW - timedelta(minutes=15)).isoformat(), until=rows.NOW.isoformat()) == [1, 2]
    for wrong in ({"status": "odd"}, {"key": "x"}, {"since": "yesterday"}, {"model": "a\0b"}):
        assert error(robot.get("exchanges", **wrong))["code"] == "invalid_value"
    whole = robot.get(f"exchanges/req_{1:032x}").json()
    assert whole["identity"][0]["name"] == "session"
    assert error(robot.get("exchanges/req_none"))["code"] == "not_found"


def test_content_needs_its_permission_and_is_recorded() -> None:
    key = make_key()
    conversation = rows.make_conversation(key)
    said = {"type": "message", "role": "user", "content": "the-caller-said-this"}
    place = content.extend(conversation.pk, content.origin(conversation.pk, stored=True), [said], stored=True, issuer=None)
    snapshot = rows.make_snapshot(make_exchange(key, 1, conversation=conversation), conversation)
    Snapshot.objects.filter(pk=snapshot.pk).update(segment_id=place.segment_id, length=place.length)
    assert SegmentEntry.objects.exists()
    path = f"snapshots/{snapshot.response_id}"
    owner, operator = Program(), Program("operator")
    assert "the-caller-said-this" not in owner.get(path).content.decode()
    assert owner.get(path, content="true").json()["items"] == [said]
    assert AuditEntry.objects.get(action="content read").actor == "owner-robot"
    assert error(operator.get(path, content="true"))["code"] == "content_denied"


def test_usage_and_operations_are_told() -> None:
    from tests.console.test_usage import count

    credential, key = make_credential(), make_key(name="builder")
    make_exchange(key, 1, credential=credential)
    make_exchange(key, 2, status="refused", error_code="rate_limit_exceeded")
    count()
    robot = Program("viewer")
    asked = {"since": (rows.NOW - timedelta(hours=3)).isoformat(), "until": (rows.NOW + timedelta(hours=1)).isoformat()}
    told = robot.get("usage", by="key", **asked).json()
    line = told["lines"][0]
    assert (line["of"], line["name"], line["requests"], line["refused"]) == ([str(key.pk)], "builder", 2, 1)
    assert told["total"]["input_tokens"] == line["input_tokens"] > 0
    assert line["unpriced_tokens"] > 0
    assert told["counted_at"]
    for by in ("model", "credential", "day", "hour", "error"):
        assert sum(line["requests"] for line in robot.get("usage", by=by, **asked).json()["lines"]) == 2
    assert error(robot.get("usage", by="secret"))["param"] == "by"
    assert robot.get("usage", since="2026-01-02T00:00Z", until="2026-01-01T00:00Z").status_code == 400
    standing = robot.get("operations").json()
    assert standing["credentials"] == {"active": 1}
    assert standing["in_flight"] == 0


# --- what is changed ----------------------------------------------------------------------------------------------------------


def test_a_key_is_issued_limited_rotated_and_disabled() -> None:
    robot = Program("operator")
    budgets = [{"kind": "tokens", "amount": 1000, "window": "day"}]
    made = robot.post("keys", name="nightly", allowed_models=["sample-1"], max_in_flight=2, budgets=budgets)
    assert made.status_code == 201
    told = made.json()
    assert told["secret"].startswith("fw_")
    key = ApiKey.objects.get(pk=told["id"])
    assert (key.allowed_models, key.max_in_flight, key.has_budgets) == (["sample-1"], 2, True)
    KeyBudget.objects.update(used=7, began_at=timezone.now())
    more = [*budgets, {"kind": "requests", "amount": 5, "window": "hour"}]
    assert robot.patch(f"keys/{key.pk}", budgets=more, strict=True).json()["strict"] is True
    assert KeyBudget.objects.get(kind="tokens").used == 7
    assert robot.patch(f"keys/{key.pk}", budgets=[]).json()["budgets"] == []
    key.refresh_from_db()
    assert key.has_budgets is False
    rotated = robot.post(f"keys/{key.pk}/rotate", grace_hours=24).json()
    assert rotated["secret"] != told["secret"]
    assert len(rotated["secrets"]) == 2
    assert robot.patch(f"keys/{key.pk}", enabled=False).json()["enabled"] is False
    assert told["secret"] not in robot.get(f"keys/{key.pk}").content.decode()
    done = list(AuditEntry.objects.filter(object_type="API key").order_by("pk").values_list("action", flat=True))
    assert done == ["issued", "changed", "changed", "rotated", "changed"]
    assert set(AuditEntry.objects.filter(object_type="API key").values_list("actor", flat=True)) == {"operator-robot"}


def test_what_cannot_be_is_refused_with_the_field_at_fault() -> None:
    robot, key = Program(), make_key()
    twice = [{"kind": "tokens", "amount": 1, "window": "day"}] * 2
    for body, param in (
        ({"name": ""}, "name"),
        ({"name": "x", "provider": "nobody"}, "provider"),
        ({"name": "x", "max_in_flight": 0}, "max_in_flight"),
        ({"name": "x", "budgets": twice}, "budgets"),
        ({"name": "x", "credentials": [99]}, "credentials"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
    ):
        refused = robot.post("keys", **body)
        assert (refused.status_code, error(refused)["param"]) == (400, param)
    stranger = make_credential(7, provider="another")
    assert error(robot.patch(f"keys/{key.pk}", credentials=[stranger.pk]))["param"] == "credentials"
    client = robot.client
    assert client.post("/api/keys", "{", content_type="application/json").status_code == 400
    assert client.post("/api/keys", "[]", content_type="application/json").status_code == 400
    assert client.post("/api/keys", "name=x", content_type="text/plain").status_code == 415
    assert client.post("/api/keys", "x" * 300_000, content_type="application/json").status_code == 413
    assert client.delete(f"/api/keys/{key.pk}").status_code == 405
    assert error(client.get("/api/nothing"))["type"] == "invalid_request_error"
    assert ApiKey.objects.count() == 1


def test_a_credential_is_switched_and_its_cool_down_ended() -> None:
    credential, robot = make_credential(), Program("operator")
    assert robot.post(f"credentials/{credential.pk}/disable").json()["state"] == "disabled"
    assert robot.post(f"credentials/{credential.pk}/disable").json()["state"] == "disabled"
    assert robot.post(f"credentials/{credential.pk}/enable").json()["state"] == "active"
    until = timezone.now() + timedelta(hours=1)
    OAuthCredential.objects.update(state="rate_limited", state_until=until)
    assert robot.post(f"credentials/{credential.pk}/clear").json()["state"] == "active"
    actions = list(AuditEntry.objects.filter(object_type="credential").order_by("pk").values_list("action", flat=True))
    assert actions == ["disabled", "enabled", "cool-down cleared"]


# --- tokens and the description -----------------------------------------------------------------------------------------------


def test_a_person_issues_tokens_for_themselves_and_an_owner_for_others() -> None:
    add = reverse("admin:accounts_operatortoken_add")
    operator, owner = in_role("operator"), in_role("owner")
    submitted = operator.post(
        add, {"name": "nightly", "days": 30, "read_only": "on", "user": User.objects.get(username="the-owner").pk}
    )
    page = operator.get(submitted["location"])
    assert "not to be had again" in operator.get(submitted["location"]).content.decode()
    token = OperatorToken.objects.get()
    assert (token.user.get_username(), token.read_only) == ("the-operator", True)
    secret = page.content.decode().split("<code>fwo_")[1].split("</code>")[0]
    assert Client(headers={"authorization": f"Bearer fwo_{secret}"}).get("/api/keys").status_code == 200
    other = {"name": "other", "days": 1, "user": User.objects.get(username="the-operator").pk}
    assert owner.post(add, other).status_code == 302
    mine = operator.get(reverse("admin:accounts_operatortoken_changelist")).content.decode()
    assert "fwo_" + secret not in mine
    assert owner.post(reverse("admin:accounts_operatortoken_revoke", args=[token.pk])).status_code == 302
    assert Client(headers={"authorization": f"Bearer fwo_{secret}"}).get("/api/keys").status_code == 401
    OperatorToken.objects.filter(pk=token.pk).update(user=User.objects.get(username="the-owner"))
    change = reverse("admin:accounts_operatortoken_change", args=[token.pk])
    assert operator.get(change).status_code == 302
    assert in_role("viewer").get(add).status_code == 403
    assert list(AuditEntry.objects.filter(action__startswith="token").values_list("action", flat=True).order_by("pk")) == [
        "token issued",
        "token issued",
        "token revoked",
    ]


def test_the_description_is_whole_and_the_page_runs_nothing_inline(capsys: pytest.CaptureFixture[str]) -> None:
    robot = Program("viewer")
    told = json.loads(robot.get("schema").content)
    assert {f"/api/{name}" for name in (*LISTS, "usage", "operations", "keys/{id}/rotate")} <= set(told["paths"])
    assert not [path for path in told["paths"] if path.startswith("/v1")]
    assert set(told["components"]["securitySchemes"]) == {"operatorToken", "session"}
    assert "Warning" not in capsys.readouterr().err
    assert Client().get("/api/docs").status_code == 302
    browser = superuser()
    page = browser.get("/api/docs")
    assert "style-src 'self'" in page["content-security-policy"]
    text = page.content.decode()
    assert "<style" not in text
    assert "<script>" not in text
    script = browser.get("/api/docs?script=")
    assert script["content-type"].startswith("application/javascript")
    assert "/api/schema" in script.content.decode()

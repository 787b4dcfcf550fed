"""API keys by command line, and secrets that are rotated out while callers still hold them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from accounts.models import ApiKey, ApiKeySecret
from tests.conftest import Gateway
from tests.fakes.factories import make_key
from tests.fakes.upstream import FakeUpstream


def printed(*arguments: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_a_rotated_secret_works_through_its_grace_and_not_beyond(gateway: Gateway, upstream: FakeUpstream) -> None:
    old = make_key("laptop")
    new = printed("rotate_api_key", "laptop", "--grace", "24h")
    assert [gateway.caller(secret).say("hello").status for secret in (old.secret, new)] == [200, 200]
    first, second = ApiKeySecret.objects.filter(key=old.key).order_by("pk")
    assert first.expires_at is not None
    assert timedelta(hours=23) < first.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    assert second.expires_at is None
    assert first.last_used_at is not None is not second.last_used_at
    ApiKeySecret.objects.filter(pk=first.pk).update(expires_at=F("created_at"))
    unknown = gateway.caller("fw_unknown").say("hello")
    refused = gateway.caller(old.secret).say("hello")
    assert (refused.status, refused.body) == (401, unknown.body)
    assert gateway.caller(new).say("hello").status == 200


def test_a_second_rotation_does_not_lengthen_the_grace_of_the_first(gateway: Gateway) -> None:
    old = make_key("laptop")
    printed("rotate_api_key", str(old.key.pk), "--grace", "1h")
    printed("rotate_api_key", "laptop", "--grace", "7d")
    ends = list(ApiKeySecret.objects.filter(key=old.key).order_by("pk").values_list("expires_at", flat=True))
    assert ends[0] < ends[1]
    assert ends[2] is None
    printed("rotate_api_key", "laptop")
    assert old.key.secrets.count() == 1


def test_a_key_is_issued_with_its_limits(gateway: Gateway) -> None:
    printed(
        "issue_key", "ci", "--expires", "2099-01-31", "--model", "gpt-5.5", "--max-in-flight", "4",
        "--requests", "60/minute", "--tokens", "2_000_000/day",
    )  # fmt: skip
    key = ApiKey.objects.get(name="ci")
    assert (key.expires_at, key.allowed_models, key.max_in_flight, key.has_budgets) == (
        datetime(2099, 1, 31, tzinfo=UTC),
        ["gpt-5.5"],
        4,
        True,
    )
    assert [str(budget) for budget in key.budgets.all()] == ["60 requests per minute", "2000000 tokens per day"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("issue_key", "x", "--requests", "60"),
        ("issue_key", "x", "--tokens", "0/day"),
        ("issue_key", "x", "--requests", "1/fortnight"),
        ("issue_key", "x", "--requests", "1/day", "--requests", "2/day"),
        ("issue_key", "x", "--max-in-flight", "0"),
        ("issue_key", "x", "--expires", "soon"),
        ("rotate_api_key", "nobody"),
        ("rotate_api_key", "test", "--grace", "long"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(gateway: Gateway, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        call_command(*arguments)
    assert ApiKey.objects.count() == ApiKeySecret.objects.count() == 1

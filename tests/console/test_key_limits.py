"""The limits of API keys on the operator's pages: set, seen, used up, changed without touching the counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, KeyBudget
from tests.console import rows
from tests.console.pages import budgets
from tests.console.people import signed_in
from tests.console.test_keys import submit

pytestmark = pytest.mark.django_db
LIST = reverse("admin:accounts_apikey_changelist")


def page_of(key: ApiKey) -> str:
    return reverse("admin:accounts_apikey_change", args=[key.pk])


def with_budget(amount: int, used: int, **over: object) -> ApiKey:
    budget = KeyBudget(kind="tokens", amount=amount, window="month")
    budget.take(used, timezone.now())
    return keys.issue("laptop", budgets=[budget], **over).key


def test_a_key_is_issued_with_limits(operator: Client) -> None:
    limits = {"allowed_models": " one\ntwo  one\n", "max_in_flight": "4"}
    submit(operator, **limits, **budgets((60, "requests", "minute"), (2_000_000, "tokens", "day")))
    key = ApiKey.objects.get()
    assert (key.allowed_models, key.max_in_flight, key.has_budgets) == (["one", "two"], 4, True)
    assert [str(budget) for budget in key.budgets.all()] == ["60 requests per minute", "2000000 tokens per day"]


@pytest.mark.parametrize(
    "fields",
    [
        budgets((0, "requests", "minute")),
        budgets((5, "requests", "fortnight")),
        budgets((5, "requests", "day"), (6, "requests", "day")),
        {"max_in_flight": "0"},
        {"allowed_models": "x" * 129},
    ],
)
def test_limits_that_cannot_be_meant_are_refused(operator: Client, fields: dict[str, object]) -> None:
    assert submit(operator, **fields).status_code == 200
    assert not ApiKey.objects.exists()


def test_what_is_used_stands_beside_each_budget_as_a_meter(operator: Client) -> None:
    key = with_budget(2_000, 500)
    for url in (LIST, page_of(key)):
        page = operator.get(url).content.decode()
        assert 'value="25" aria-label="500 of 2,000 tokens per month: used"' in page
        assert "resets <time" in page


def test_budgets_are_changed_without_touching_their_counts(operator: Client) -> None:
    key = with_budget(2_000, 500, max_in_flight=3)
    budget = key.budgets.get()
    ApiKey.objects.update(last_used_at=rows.NOW)
    stale = budgets((9_000, "tokens", "month"), (5, "requests", "hour"), kept=1)
    fields = {**stale, "budgets-0-id": budget.pk, "budgets-0-key": key.pk, "name": "desk", "enabled": "on", "max_in_flight": ""}
    assert operator.post(page_of(key), fields).status_code == 302
    budget.refresh_from_db()
    key.refresh_from_db()
    assert (budget.amount, budget.used, key.budgets.count()) == (9_000, 500, 2)
    assert (key.name, key.max_in_flight, key.last_used_at) == ("desk", None, rows.NOW)
    gone = {**fields, **budgets((9_000, "tokens", "month"), kept=1), "budgets-0-DELETE": "on"}
    key.budgets.exclude(pk=budget.pk).delete()
    assert operator.post(page_of(key), gone).status_code == 302
    key.refresh_from_db()
    assert not key.has_budgets


def test_switching_capture_on_is_noted_and_shown(operator: Client) -> None:
    key = keys.issue("laptop").key
    until = (timezone.now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    assert (
        operator.post(page_of(key), {"name": "laptop", "enabled": "on", "capture_until": until, **budgets()}).status_code == 302
    )
    assert "Capture payloads until" in LogEntry.objects.get().get_change_message()
    assert "captures</span>" in operator.get(LIST).content.decode()


def test_a_key_that_is_not_strict_is_not_marked_as_if_something_were_wrong(operator: Client) -> None:
    keys.issue("laptop")
    assert "icon-no" not in operator.get(LIST).content.decode()
    keys.issue("exact", strict=True)
    assert "<div>strict</div>" in operator.get(LIST).content.decode()


def test_keys_are_filtered_by_their_limits(operator: Client) -> None:
    plain = rows.make_key(1)
    by = {
        "budgets": with_budget(5, 0),
        "at_once": rows.make_key(2, max_in_flight=1),
        "models": rows.make_key(3, allowed_models=["one"]),
        "no": plain,
    }
    for answer, key in by.items():
        assert [row.pk for row in operator.get(LIST, {"limited": answer}).context["cl"].result_list] == [key.pk]
    strict = rows.make_key(4, strict=True, capture_until=datetime(2999, 1, 1, tzinfo=UTC))
    assert [row.pk for row in operator.get(LIST, {"strict": "yes"}).context["cl"].result_list] == [strict.pk]
    assert [row.pk for row in operator.get(LIST, {"captures": "now"}).context["cl"].result_list] == [strict.pk]


def test_who_may_only_look_sees_limits_and_can_change_none() -> None:
    key = with_budget(2_000, 500)
    viewer = signed_in("accounts.view_apikey")
    assert "500 of 2,000 tokens" in viewer.get(page_of(key)).content.decode()
    assert viewer.post(page_of(key), {"name": "mine", **budgets()}).status_code == 403

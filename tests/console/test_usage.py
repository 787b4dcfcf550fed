"""What was used, through the door: sums, percentiles, notional costs, CSV, who may see it, and how large the page gets."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import maintenance
from responses_app import usage
from responses_app.models import ModelPrice, UsageHour
from responses_app.usage_report import Line, Period, percentile, report, rows, total
from tests.console.people import in_role, signed_in
from tests.console.rows import NOW, make_credential, make_exchange, make_key

pytestmark = pytest.mark.django_db
URL = "/admin/usage/"
BEFORE_PRICES = "0016_usage"


def count() -> None:
    holder = maintenance.new_holder()
    maintenance.renew(holder)
    usage.count(holder)


def figures(client: Client, **asked: str) -> list[dict[str, str]]:
    response = client.get(f"{URL}export/", asked)
    assert response["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(response).decode())))


DAY = {"period": "custom", "since": f"{NOW:%Y-%m-%d}", "until": f"{NOW:%Y-%m-%d}"}


def test_the_page_sums_by_key_model_credential_day_and_outcome(operator: Client) -> None:
    one, other, credential = make_key(), make_key(2, name="build robot"), make_credential(label="team login")
    for number in range(1, 4):
        make_exchange(one, number, credential=credential, input_tokens=1000, cached_tokens=800, output_tokens=50)
    make_exchange(other, 4, model="sample-2", input_tokens=10, cached_tokens=0, output_tokens=5, finished_at=NOW)
    nothing = {"input_tokens": None, "cached_tokens": None, "output_tokens": None, "first_byte_ms": None}
    make_exchange(other, 5, status="failed", error_code="upstream_died", finished_at=NOW, **nothing)
    count()
    page = operator.get(URL, {**DAY, "by": "key"}).content.decode()
    for shown in ("build robot", "key 1", "3\u202f010", "80\u202f%", "<svg", "<desc", "The charts in figures"):
        assert shown in page
    by_key = {line["key"]: line for line in figures(operator, **DAY, by="key")}
    assert by_key["key 1"]["input_tokens"] == "3000"
    assert (by_key["build robot"]["requests"], by_key["build robot"]["failed"]) == ("2", "1")
    assert [line["model"] for line in figures(operator, **DAY, by="model")] == ["sample-1", "sample-2"]
    assert [line["credential"] for line in figures(operator, **DAY, by="credential")] == ["team login", "none was chosen"]
    assert [line["day"] for line in figures(operator, **DAY, by="day")] == [f"{NOW:%Y-%m-%d}"]
    assert "failed: upstream_died" in [line["error"] for line in figures(operator, **DAY, by="error")]
    narrowed = figures(operator, **DAY, by="model", key=str(other.pk))
    assert [line["model"] for line in narrowed] == ["sample-1", "sample-2"]
    assert figures(operator, **DAY, by="key", model="sample-2")[0]["requests"] == "1"


def test_a_key_that_is_gone_keeps_its_usage(operator: Client) -> None:
    key = make_key()
    make_exchange(key, 1)
    count()
    number = key.pk
    key.delete()
    assert figures(operator, **DAY, by="key")[0]["key"] == f"deleted key {number}"


def test_periods_are_the_last_hours_whole_days_and_months(operator: Client) -> None:
    now, key = timezone.now(), make_key()
    make_exchange(key, 1, finished_at=now)
    make_exchange(key, 2, finished_at=now - timedelta(hours=25))
    make_exchange(key, 3, finished_at=now - timedelta(days=20))
    count()
    assert [sum(int(line["requests"]) for line in figures(operator, period=name)) for name in ("24h", "7d", "30d")] == [1, 2, 3]
    assert sum(int(line["requests"]) for line in figures(operator, period="month")) >= 1
    for wrong in ({"period": "custom"}, {"period": "custom", "since": "2026-11-02", "until": "2026-11-01"}, {"by": "secret"}):
        assert operator.get(URL, wrong).status_code == 200
    assert "in their order" in operator.get(URL, {"period": "custom"}).content.decode()


def test_percentiles_lie_within_their_bucket_and_leave_out_what_was_refused() -> None:
    assert percentile([0] * 13, 50) is None
    assert percentile([4] + [0] * 12, 50) == 125
    assert percentile([0, 10] + [0] * 11, 95) == 488
    assert percentile([1] * 12 + [12], 95) == 900_000
    key = make_key()
    make_exchange(key, 1, total_ms=3000, first_byte_ms=1500, finished_at=NOW)
    make_exchange(key, 2, total_ms=5, first_byte_ms=None, status="refused", finished_at=NOW)
    count()
    whole = total(report(rows(Period.of_days(NOW.date(), NOW.date())), "key"))
    assert whole.requests == 2
    assert 2000 <= (whole.total(50) or 0) <= 4000
    assert 1000 <= (whole.first_byte(95) or 0) <= 2000


def lines_by_model(first: date, last: date) -> dict[str, Line]:
    return {line.name: line for line in report(rows(Period.of_days(first, last)), "model")}


def test_costs_follow_the_price_of_the_day_and_models_without_one_say_so(operator: Client) -> None:
    key = make_key()
    ModelPrice.objects.all().delete()
    for since, dollars in ((date(2026, 11, 1), 1), (date(2026, 11, 20), 2)):
        fields = {"cached": Decimal("0.1") * dollars, "output": 10 * dollars, "source": "https://example.com", "read_on": since}
        ModelPrice.objects.create(model="sample-1", effective_from=since, input=dollars, **fields)
    tokens = {"input_tokens": 2_000_000, "cached_tokens": 1_000_000, "output_tokens": 100_000}
    make_exchange(key, 1, finished_at=NOW - timedelta(days=10), **tokens)
    make_exchange(key, 2, finished_at=NOW, **tokens)
    make_exchange(key, 3, finished_at=NOW - timedelta(days=30), **tokens)
    make_exchange(key, 4, finished_at=NOW, model="mystery", **tokens)
    count()
    found = lines_by_model(date(2026, 10, 1), NOW.date())
    # 1 fresh million and 1 cached, a tenth of a million out: at the first prices 2.1 dollars, at the second twice as much.
    assert found["sample-1"].cost.amount == Decimal("6.3")
    assert found["sample-1"].cost.unpriced == 2_100_000
    assert found["mystery"].cost.amount == 0
    assert found["mystery"].cost.models == {"mystery"}
    page = operator.get(URL, {"period": "custom", "since": "2026-10-01", "until": f"{NOW:%Y-%m-%d}", "by": "model"})
    assert "$6.30*" in page.content.decode()
    assert "mystery" in page.content.decode()


def test_prices_come_with_their_source_and_are_changed_by_operators(operator: Client) -> None:
    assert ModelPrice.objects.count() > 5
    assert not ModelPrice.objects.exclude(source__startswith="https://").exists()
    page = in_role("operator")
    new = {"model": "sample-9", "effective_from": "2026-11-01", "input": "1", "cached": "0.1", "output": "8"}
    url = reverse("admin:responses_app_modelprice_add")
    assert page.post(url, {**new, "source": "https://example.com/prices", "read_on": "2026-11-23"}).status_code == 302
    assert "sample-9" in page.get(reverse("admin:responses_app_modelprice_changelist")).content.decode()
    viewer = in_role("viewer")
    assert viewer.get(reverse("admin:responses_app_modelprice_changelist")).status_code == 200
    assert viewer.get(url).status_code == 403


def test_a_spreadsheet_computes_nothing(operator: Client) -> None:
    make_exchange(make_key(name='=HYPERLINK("http://evil")'), 1, model="@SUM(1)\r\n,x")
    count()
    assert figures(operator, **DAY, by="key")[0]["key"].startswith("'=HYPERLINK")
    found = figures(operator, **DAY, by="model")
    assert len(found) == 1
    assert found[0]["model"].startswith("'@SUM(1)")
    page = operator.get(URL, {**DAY, "by": "model"}).content.decode()
    assert "@SUM(1)" in page


def test_it_is_for_those_who_may_see_usage() -> None:
    assert in_role("viewer").get(URL).status_code == 200
    nobody = signed_in()
    assert nobody.get(URL).status_code == 403
    assert nobody.get(f"{URL}export/").status_code == 403
    assert Client().get(URL).status_code == 302
    assert "/admin/usage/" in in_role("operator").get("/admin/").content.decode()


def test_the_page_stays_small_however_much_was_used(operator: Client) -> None:
    key = make_key()
    rows: list[UsageHour] = []
    for day in range(120):
        moment = (NOW - timedelta(days=day)).replace(hour=3)
        rows += (_hour(moment, key.pk, f"model-with-a-rather-long-name-{n}", 1000 + n) for n in range(70))
    UsageHour.objects.bulk_create(rows)
    asked = {"period": "custom", "since": "2026-07-01", "until": f"{NOW:%Y-%m-%d}", "by": "model"}
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = operator.get(URL, asked).content
    assert len(page) < 60_000
    assert len(queries) < 20
    assert b"20 more are in the CSV file" in page
    assert len(operator.get(URL, {"period": "30d"}).content) < 60_000


def _hour(moment: Any, key: int, model: str, tokens: int) -> UsageHour:
    fields: dict[str, Any] = {"hour": moment, "day": moment.date(), "api_key_id": key, "model": model, "status": "completed"}
    return UsageHour(
        **fields, requests=3, input_tokens=tokens, cached_tokens=tokens // 2, output_tokens=7, first_2=3, total_4=3
    )


@pytest.mark.django_db(transaction=True)
def test_what_the_upgrade_brings_can_be_taken_back() -> None:
    call_command("migrate", "responses_app", BEFORE_PRICES, verbosity=0)
    call_command("migrate", "responses_app", verbosity=0)
    names = set(ModelPrice.objects.values_list("model", flat=True))
    ModelPrice.objects.filter(model="gpt-5.5").update(input=99)
    call_command("migrate", "responses_app", BEFORE_PRICES, verbosity=0)
    assert set(ModelPrice.objects.values_list("model", flat=True)) == {"gpt-5.5"}
    call_command("migrate", "responses_app", verbosity=0)
    assert set(ModelPrice.objects.values_list("model", flat=True)) == names
    assert ModelPrice.objects.get(model="gpt-5.5").input == 99

"""Metrics, through the door: behind their token, whole, and without anything that is nobody's business."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from responses_app.models import Exchange, Worker
from tests.console.rows import make_credential, make_exchange, make_key
from tests.console.test_usage import count

pytestmark = pytest.mark.django_db
TOKEN = "a-token-for-prometheus"


def scraped(**headers: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    response = Client(headers={"authorization": f"Bearer {TOKEN}", **headers}).get("/metrics")
    assert response.status_code == 200
    assert response["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[Any, float]] = {}
    for family in text_string_to_metric_families(response.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def labels(**names: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in names.items()))


def test_they_are_behind_a_token_of_their_own(settings: LazySettings) -> None:
    settings.FLOWAY_METRICS_TOKEN = ""
    assert Client(headers={"authorization": "Bearer "}).get("/metrics").status_code == 404
    settings.FLOWAY_METRICS_TOKEN = TOKEN
    for brought in ("", "Bearer wrong", f"Basic {TOKEN}", "Bearer \u00fc"):
        assert Client(headers={"authorization": brought}).get("/metrics").status_code == 401
    assert scraped()


def test_what_ended_is_counted_and_what_goes_on_is_shown(settings: LazySettings) -> None:
    settings.FLOWAY_METRICS_TOKEN = TOKEN
    key, credential = make_key(name='quoted "name"\n'), make_credential(label="team")
    for number in range(1, 4):
        make_exchange(key, number, credential=credential, total_ms=3000, first_byte_ms=600)
    make_exchange(key, 4, status="failed", error_code="upstream_died")
    make_exchange(key, 5, status=Exchange.Status.IN_FLIGHT, finished_at=None)
    Worker.objects.create(host="here", pid=1)
    count()
    told = scraped()
    completed = labels(key=key.pk, model="sample-1", status="completed", error_code="")
    assert told["floway_requests_total"][completed] == 3
    failed = labels(key=key.pk, model="sample-1", status="failed", error_code="upstream_died")
    assert told["floway_requests_total"][failed] == 1
    assert told["floway_tokens_total"][labels(key=key.pk, model="sample-1", kind="reasoning")] == 4 * 64
    buckets = told["floway_request_duration_seconds_bucket"]
    assert [buckets[labels(model="sample-1", le=bound)] for bound in ("2.0", "4.0", "+Inf")] == [0, 3, 3]
    assert told["floway_request_duration_seconds_sum"][labels(model="sample-1")] == 9
    assert told["floway_first_byte_seconds_count"][labels(model="sample-1")] == 3
    assert told["floway_workers"][labels(state="serving")] == 1
    assert told["floway_credential_state"][labels(credential=credential.pk, state="active")] == 1
    window = labels(credential=credential.pk, limit="requests", window="secondary")
    assert window in told["floway_quota_used_percent"]
    assert told["floway_key_info"][labels(key=key.pk, name='quoted "name"\n')] == 1
    make_exchange(key, 6, total_ms=100)
    count()
    assert scraped()["floway_requests_total"][completed] == 4


def test_they_tell_no_mail_address_and_no_account(settings: LazySettings) -> None:
    settings.FLOWAY_METRICS_TOKEN = TOKEN
    make_exchange(make_key(), 1, credential=make_credential(), end_user_digest=b"e" * 32)
    count()
    text = Client(headers={"authorization": f"Bearer {TOKEN}"}).get("/metrics").content.decode()
    assert "@" not in text
    assert "account-1" not in text

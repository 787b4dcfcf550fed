"""What an operator sees of the processes that serve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from responses_app.models import Exchange, Worker
from tests.console import rows

pytestmark = pytest.mark.django_db


def test_each_process_says_how_it_stands_and_what_it_serves(operator: Client) -> None:
    gone = Worker.objects.create(host="gone", pid=7)
    Worker.objects.filter(pk=gone.pk).update(seen_at=datetime.now(UTC) - timedelta(seconds=31))
    Worker.objects.create(host="leaving", pid=8, draining=True)
    Worker.objects.create(host="there", pid=9)
    rows.make_exchange(rows.make_key(), status=Exchange.Status.IN_FLIGHT, worker=gone)
    page = operator.get(reverse("admin:responses_app_worker_changelist")).content.decode()
    words = ("gone, process 7", "not heard of", "leaving, process 8", "draining", "there, process 9", ">serving<")
    said = [page.index(text) for text in words]
    assert said == sorted(said)
    page = operator.get(reverse("admin:responses_app_worker_change", args=[gone.pk])).content.decode()
    assert "not heard of" in page
    assert "in flight" in page

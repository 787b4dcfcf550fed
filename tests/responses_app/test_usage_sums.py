"""Each ended exchange is summed up once: whenever it ends, whoever counts, and wherever counting is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import F, Sum

from accounts import maintenance
from responses_app import usage
from responses_app.models import Exchange, UsageHour, UsageLate, UsageMark
from responses_app.models.usage import EVER, FIRST, TOTAL
from tests.console.rows import NOW, make_credential, make_exchange, make_key

pytestmark = pytest.mark.django_db(transaction=True)
TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


def count() -> None:
    holder = maintenance.new_holder()
    assert maintenance.renew(holder)
    try:
        usage.count(holder)
    finally:
        maintenance.release(holder)


def assert_exact() -> None:
    """The hours, and the row of all hours, say what the ended exchanges say."""
    ended = Exchange.objects.exclude(status=Exchange.Status.IN_FLIGHT)
    said = {name: ended.aggregate(n=Sum(name))["n"] or 0 for name in TOKENS} | {"requests": ended.count()}
    for rows in (UsageHour.objects.exclude(hour=EVER), UsageHour.objects.filter(hour=EVER)):
        assert {name: rows.aggregate(n=Sum(name))["n"] or 0 for name in said} == said
        buckets = rows.aggregate(first=Sum(sum(map(F, FIRST[1:]), F(FIRST[0]))), total=Sum(sum(map(F, TOTAL[1:]), F(TOTAL[0]))))
        assert (buckets["first"] or 0) == ended.exclude(first_byte_ms=None).count()
        assert (buckets["total"] or 0) == ended.exclude(total_ms=None).count()


def running(key: Any, number: int) -> Exchange:
    plain = {"status": Exchange.Status.IN_FLIGHT, "finished_at": None, "total_ms": None, "first_byte_ms": None}
    return make_exchange(key, number, **plain, **dict.fromkeys(TOKENS))


def end(exchange: Exchange, **over: Any) -> None:
    fields = {"status": "completed", "finished_at": NOW, "total_ms": 700, "input_tokens": 10, "cached_tokens": 4}
    Exchange.objects.filter(pk=exchange.pk).update(**{**fields, **over})


def test_those_that_were_passed_by_are_looked_for_by_their_keys() -> None:
    make_exchange(make_key(), 1)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")
    plan = usage.overdue_ones().explain()
    assert "SCAN responses_app_exchange" not in plan, plan
    assert "Seq Scan on responses_app_exchange" not in plan, plan


def test_exchanges_are_summed_by_hour_key_model_credential_and_outcome() -> None:
    key, credential = make_key(), make_credential()
    for number in range(1, 5):
        make_exchange(key, number, credential=credential)
    make_exchange(key, 9, status="failed", error_code="server_error", first_byte_ms=None)
    make_exchange(key, 10, model="sample-2")
    count()
    assert_exact()
    row = UsageHour.objects.get(hour=NOW - timedelta(hours=1), credential=credential)
    assert (row.requests, row.model, row.status, row.day) == (4, "sample-1", "completed", NOW.date())
    assert UsageHour.objects.exclude(hour=EVER).filter(error_code="server_error").count() == 1


def test_counting_again_adds_nothing_and_what_ends_late_is_added_once() -> None:
    key = make_key()
    first, second = running(key, 1), running(key, 2)
    make_exchange(key, 3)
    count()
    assert UsageLate.objects.count() == 2
    assert_exact()
    end(second)
    make_exchange(key, 4)
    count()
    count()
    assert_exact()
    end(first, finished_at=NOW - timedelta(days=3))
    count()
    assert_exact()
    assert not UsageLate.objects.exists()


def test_a_history_is_counted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_BATCH", 3)
    key = make_key()
    for number in range(1, 9):
        make_exchange(key, number)
    late = [running(key, number) for number in range(9, 14)]
    count()
    for exchange in late:
        end(exchange)
    count()
    assert_exact()
    assert UsageMark.objects.get().counted_to == Exchange.objects.latest("pk").pk


def test_of_two_that_count_the_same_one_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_exchange(make_key(), 1)
    UsageMark.objects.create()
    usage.count_some()
    UsageMark.objects.update(counted_to=0)
    UsageHour.objects.all().delete()
    write, done = usage._write, []

    def sooner(*args: Any) -> bool:
        monkeypatch.setattr(usage, "_write", write)
        done.append(usage.count_some())
        return write(*args)

    monkeypatch.setattr(usage, "_write", sooner)
    assert usage.count_some() == 0
    assert done == [1]
    assert_exact()


def test_what_is_cut_off_in_the_middle_is_as_if_it_had_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()
    make_exchange(key, 1)
    waiting = running(key, 2)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(usage, "_add", _cut)
        count()
    assert not UsageHour.objects.exists()
    count()
    end(waiting)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(usage, "_add", _cut)
        count()
    count()
    assert_exact()


def _cut(*_: Any) -> None:
    raise RuntimeError


def test_only_what_is_counted_may_be_deleted() -> None:
    key = make_key()
    assert not Exchange.objects.filter(usage.counted()).exists()
    done, waiting = make_exchange(key, 1), running(key, 2)
    assert not Exchange.objects.filter(usage.counted()).exists()
    count()
    make_exchange(key, 3)
    assert list(Exchange.objects.filter(usage.counted())) == [done]
    end(waiting)
    assert list(Exchange.objects.filter(usage.counted())) == [done]
    Exchange.objects.filter(usage.counted()).delete()
    count()
    assert UsageHour.objects.filter(hour=EVER).aggregate(n=Sum("requests"))["n"] == 3


def test_made_up_model_names_fill_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_MOST_ROWS", 4)
    key = make_key()
    for number in range(1, 9):
        make_exchange(key, number, model=f"made-up-{number}", finished_at=NOW)
    make_exchange(make_key(2), 20, finished_at=NOW)
    count()
    assert_exact()
    assert UsageHour.objects.filter(hour=NOW, api_key=key).count() == 5
    assert UsageHour.objects.get(hour=NOW, model=usage.OTHER).requests == 4


@contextmanager
def another_connection() -> Iterator[Any]:
    other = connections.create_connection("default")
    try:
        yield other
    finally:
        other.close()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite writes one transaction at a time")
def test_a_row_that_is_committed_after_a_later_number_is_not_missed() -> None:
    key = make_key()
    columns = "request_id, api_key_id, provider, action, model, streamed, stored, status, ended_by, last_event, response_id, "
    columns += "error_code, error_message, operator_note, dispatches, identity, changes, upstream_ids, started_at, deadline_at"
    values = "'slow', %s, '', '', 'm', false, false, 'failed', '', '', '', '', '', '', 0, '[]', '[]', '{}', now(), now()"
    with another_connection() as other:
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"INSERT INTO responses_app_exchange ({columns}) VALUES ({values})", [key.pk])
        make_exchange(key, 2)
        count()
        count()
        assert UsageMark.objects.get().counted_to == 0
        cursor.execute("COMMIT")
    count()
    assert_exact()
    assert UsageHour.objects.filter(hour=EVER).aggregate(n=Sum("requests"))["n"] == 2

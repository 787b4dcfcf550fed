"""History is looked at, found by id, and never written."""

from __future__ import annotations

import html
import json
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from responses_app.history import RecentPaginator
from responses_app.models import Conversation, Exchange, Item, Snapshot, Worker
from tests.console import rows

pytestmark = pytest.mark.django_db
EXCHANGES = reverse("admin:responses_app_exchange_changelist")


def found(client: Client, query: str) -> int:
    return client.get(EXCHANGES, {"q": query}).context["cl"].result_count


@pytest.mark.parametrize("model", [Conversation, Exchange, Item, Snapshot, Worker])
def test_nothing_of_history_can_be_written(operator: Client, model: Any) -> None:
    rows.make_history(1)
    row = model.objects.first()
    names = f"admin:responses_app_{model._meta.model_name}"
    assert operator.get(reverse(f"{names}_add")).status_code == 403
    assert operator.post(reverse(f"{names}_change", args=[row.pk]), {"model": "other"}).status_code == 405
    assert operator.post(reverse(f"{names}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


def test_a_row_that_is_not_there_is_not_found(operator: Client) -> None:
    for pk in ("999", "x", "9" * 40):
        assert operator.get(reverse("admin:responses_app_exchange_change", args=[pk])).status_code == 404


def test_an_exchange_is_found_by_either_id_and_by_how_it_begins(operator: Client) -> None:
    key = rows.make_key()
    exchange = rows.make_exchange(key, 1, request_id="req_abc123", response_id="resp_def456")
    rows.make_exchange(key, 2)
    for query in (exchange.request_id, exchange.response_id, "req_abc", "  resp_def  "):
        assert found(operator, query) == 1, query


@pytest.mark.parametrize("query", ["%", "req%", "req_%", "____", "req-.*", "(a+)+$", "' OR 1=1 --", "x" * 5000, "req"])
def test_wildcards_and_patterns_find_nothing(operator: Client, query: str) -> None:
    rows.make_exchange(rows.make_key(), 1, request_id="req_abc123")
    assert found(operator, query) == 0


def test_an_underscore_is_an_underscore(operator: Client) -> None:
    rows.make_exchange(rows.make_key(), 1, request_id="reqXabc123")
    assert found(operator, "req_abc123") == 0


@pytest.mark.parametrize(
    "query", ["all=", "p=999999", "o=-1.5.99", "o=x", "sealed__startswith=a", "api_key__secrets__digest__gt=0"]
)
def test_odd_parameters_never_widen_a_page_or_break_it(operator: Client, query: str) -> None:
    rows.make_history(30)
    for name in ("exchange", "item", "snapshot", "conversation"):
        answer = operator.get(reverse(f"admin:responses_app_{name}_changelist") + "?" + query)
        assert answer.status_code in {200, 302, 400}
        if answer.status_code == 200:
            assert len(answer.context["cl"].result_list) <= 25


def test_paging_counts_no_further_than_what_is_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("responses_app.history._REACHABLE", 4)
    key = rows.make_key()
    for number in range(1, 8):
        rows.make_exchange(key, number)
    assert RecentPaginator(Exchange.objects.order_by("-started_at"), 3).count == 4


def test_the_exchange_page_tells_the_whole_story(operator: Client) -> None:
    key, credential = rows.make_key(), rows.make_credential()
    conversation = rows.make_conversation(key)
    parent = rows.make_snapshot(rows.make_exchange(key, 1, conversation=conversation), conversation)
    cut = Exchange.EndedBy.UPSTREAM_CUT
    exchange = rows.make_exchange(
        key, 2, conversation=conversation, credential=credential, continued=parent, ended_by=cut, operator_note="reset by peer"
    )
    made = rows.make_snapshot(exchange, conversation, parent)
    page = operator.get(reverse("admin:responses_app_exchange_change", args=[exchange.pk])).content.decode()
    assert "upstream, cut before a terminal event" in page
    for told in (
        "response.completed",
        "header session-id",
        "temperature",
        "dropped",
        "ray-2",
        "reset by peer",
        exchange.request_id,
    ):
        assert told in page
    for snapshot in (parent, made):
        assert reverse("admin:responses_app_snapshot_change", args=[snapshot.pk]) in page


@pytest.mark.parametrize(
    ("answer", "count"), [("trouble", 1), ("cut", 1), ("left", 1), ("running", 1), ("done", 1), ("timeout", 0)]
)
def test_exchanges_are_filtered_by_the_operators_question(operator: Client, answer: str, count: int) -> None:
    key, status, ended = rows.make_key(), Exchange.Status, Exchange.EndedBy
    rows.make_exchange(key, 1)
    rows.make_exchange(key, 2, status=status.FAILED, ended_by=ended.UPSTREAM_CUT)
    rows.make_exchange(key, 3, status=status.IN_FLIGHT, ended_by="")
    rows.make_exchange(key, 4, status=status.INCOMPLETE, ended_by=ended.CALLER)
    assert operator.get(EXCHANGES, {"outcome": answer}).context["cl"].result_count == count


def test_links_from_other_pages_narrow_the_list(operator: Client) -> None:
    key = rows.make_key()
    conversation = rows.make_conversation(key)
    rows.make_exchange(key, 1, conversation=conversation)
    rows.make_exchange(rows.make_key(2), 2, status=Exchange.Status.FAILED, error_code="rate_limit")
    queries = (
        {"conversation__id__exact": conversation.pk},
        {"api_key__id__exact": key.pk},
        {"error_code__exact": "rate_limit"},
    )
    for query in queries:
        assert operator.get(EXCHANGES, query).context["cl"].result_count == 1, query


def test_the_exchange_page_names_the_first_item_that_differs(operator: Client) -> None:
    key = rows.make_key()
    conversation = rows.make_conversation(key)
    rows.make_snapshot(rows.make_exchange(key, 1), conversation, length=6)
    exchange = rows.make_exchange(key, 2, input_items=7, known_items=4)
    rows.make_snapshot(exchange, conversation, length=8)
    page = operator.get(reverse("admin:responses_app_exchange_change", args=[exchange.pk])).content.decode()
    assert "7 items, 4 of them known; <code>input[4]</code> differs from what was said before (6 items)" in page


@pytest.mark.parametrize(("query", "why"), [("req", "at least 4 characters"), ("rate limit", "this is none")])
def test_a_search_that_cannot_find_says_why(operator: Client, query: str, why: str) -> None:
    assert why in operator.get(EXCHANGES, {"q": query}).content.decode()


def test_exchanges_are_narrowed_by_day_model_key_and_credential(operator: Client) -> None:
    key, credential = rows.make_key(), rows.make_credential()
    rows.make_exchange(key, 1, credential=credential)
    rows.make_exchange(key, 2, model="other", started_at=rows.NOW - timedelta(days=3))
    rows.make_exchange(rows.make_key(2), 3)
    for query, count in (
        ({"day": "2026-11-23"}, 2),
        ({"day": "2026-11-20"}, 1),
        ({"day": "never"}, 3),
        ({"day": "9999-12-31"}, 3),
        ({"model": "other"}, 1),
        ({"api_key__id__exact": key.pk}, 2),
        ({"credential__id__exact": credential.pk}, 1),
        ({"day": "2026-11-23", "api_key__id__exact": key.pk, "outcome": "failed"}, 0),
    ):
        assert operator.get(EXCHANGES, query).context["cl"].result_count == count, query


def test_filters_offer_what_a_page_has_room_for_and_always_what_is_chosen(operator: Client) -> None:
    keys = [rows.make_key(number, last_used_at=rows.NOW - timedelta(minutes=number)) for number in range(1, 40)]
    page = operator.get(EXCHANGES, {"api_key__id__exact": keys[-1].pk}).content.decode()
    offered = re.findall(r">(key \d+)</a>", page)
    assert len(offered) == 26
    assert "key 39" in offered
    assert "key 30" not in offered


def exchange_page(client: Client, exchange: Exchange) -> str:
    return client.get(reverse("admin:responses_app_exchange_change", args=[exchange.pk])).content.decode()


def test_the_course_of_a_request_is_told_step_by_step(operator: Client) -> None:
    attempts = [
        {"credential": "one", "outcome": "resting", "detail": "limited", "at": 20, "ms": 0},
        {"credential": "two", "outcome": "upstream_error", "detail": "said 502", "at": 20, "ms": 300},
        {"credential": "three", "outcome": "answered", "detail": "", "at": 330, "ms": 70},
    ]
    exchange = rows.make_exchange(rows.make_key(), attempts=attempts, first_byte_ms=900, total_ms=2_000)
    page = exchange_page(operator, exchange)
    told = re.findall(r'<tr><th scope="row">([^<]+)</th><td class="n">([^<]+)</td><td class="n">([^<]+)</td>', page)
    assert told == [
        ("accepted: read, claimed, a credential chosen", "0 ms", "20 ms"),
        ("passed over one: it rests", "20 ms", "0 ms"),
        ("sent with two", "20 ms", "300 ms"),
        ("sent with three", "330 ms", "70 ms"),
        ("waited for the first output", "400 ms", "500 ms"),
        ("output", "900 ms", "1.1 s"),
        ("end: upstream, with a terminal event", "2.0 s", "0 ms"),
    ]
    assert "upstream_error: said 502" in page


@pytest.mark.parametrize("attempts", [None, [], [{"ms": "x"}], ["odd"], [{"credential": "a", "outcome": "answered", "ms": 5}]])
def test_attempts_of_older_versions_and_of_none_are_told_too(operator: Client, attempts: Any) -> None:
    exchange = rows.make_exchange(rows.make_key(), attempts=attempts, first_byte_ms=None, total_ms=None, finished_at=None)
    assert "Timeline" in exchange_page(operator, exchange)


def test_a_request_can_be_repeated_as_far_as_it_is_known(operator: Client) -> None:
    key = rows.make_key()
    conversation = rows.make_conversation(key)
    parent = rows.make_snapshot(rows.make_exchange(key, 1, conversation=conversation), conversation)
    exchange = rows.make_exchange(
        key, 2, conversation=conversation, continued=parent, model="it's", stored=False, preamble={"tools": "ab"}, input_items=3
    )
    command = html.unescape(re.findall(r'<pre [^>]*id="curl">([^<]+)</pre>', exchange_page(operator, exchange))[0])
    words = shlex.split(command.replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    asked = {"model": "it's", "previous_response_id": parent.response_id, "input": "...", "stream": True, "store": False}
    assert body == asked
    assert words[2].endswith("/v1/responses")
    assert "Bearer $FLOWAY_API_KEY" in command
    assert "To be filled in: input (3 items), tools, temperature." in exchange_page(operator, exchange)


def test_a_miss_is_explained_on_the_exchanges_page(operator: Client) -> None:
    key = rows.make_key()
    conversation = rows.make_conversation(key)
    rows.make_exchange(key, 2, conversation=conversation)
    exchange = rows.make_exchange(key, 1, conversation=conversation, model="another", cached_tokens=0)
    assert "<strong>other model</strong>: 10\u202f112 tokens not found. The turn before asked sample-1." in exchange_page(
        operator, exchange
    )

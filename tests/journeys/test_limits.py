"""What a key may take, through the door: models, budgets per window, requests at once; each refused as the public API does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey, KeyBudget
from responses_app.limits import LimitReached, Standing
from responses_app.models import Exchange
from responses_app.views.turns import TurnView
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Caller, turn
from tests.fakes.factories import make_key
from tests.fakes.upstream import FakeUpstream

Kind, Window = KeyBudget.Kind, KeyBudget.Window
NOON = datetime(2026, 11, 23, 12, 0, 13, tzinfo=UTC)


class Clock:
    """A clock that stands where the test puts it."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The door's clock."""
    standing = Clock(NOON)
    monkeypatch.setattr(TurnView, "clock", standing)
    return standing


def limited(gateway: Gateway, *budgets: tuple[str, int, str], **over: Any) -> Caller:
    """A caller whose key has these budgets."""
    rows = [KeyBudget(kind=kind, amount=amount, window=window) for kind, amount, window in budgets]
    return gateway.caller(make_key(budgets=rows, **over).secret)


def test_a_budget_of_requests_admits_just_so_many_in_a_window(gateway: Gateway, upstream: FakeUpstream, clock: Clock) -> None:
    caller = limited(gateway, (Kind.REQUESTS, 2, Window.MINUTE))
    first, second, third = (caller.say("hello") for _ in range(3))
    assert [reply.status for reply in (first, second, third)] == [200, 200, 429]
    assert third.error["code"] == "rate_limit_exceeded"
    assert third.error["type"] == "requests"
    assert "limit 2, used 2" in third.error["message"]
    assert third.headers["retry-after"] == "47"
    assert "x-should-retry" not in third.headers
    told = [reply.headers["x-ratelimit-remaining-requests"] for reply in (first, second, third)]
    assert told == ["1", "0", "0"]
    assert {third.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "reset")} == {"2", "47s"}
    assert len(upstream.turns) == 2
    clock.time += timedelta(seconds=47)
    assert caller.say("hello").status == 200


def test_a_refused_request_leaves_its_exchange_and_takes_nothing(
    gateway: Gateway, upstream: FakeUpstream, clock: Clock
) -> None:
    caller = limited(gateway, (Kind.REQUESTS, 1, Window.MINUTE), (Kind.REQUESTS, 9, Window.DAY))
    caller.say("hello")
    assert caller.say("hello").status == 429
    exchange = gateway.exchange()
    assert (exchange.status, exchange.http_status, exchange.error_code) == ("refused", 429, "rate_limit_exceeded")
    assert exchange.conversation is None
    assert list(KeyBudget.objects.values_list("used", flat=True)) == [1, 1]


def test_a_budget_of_tokens_counts_what_was_used_and_then_refuses(
    gateway: Gateway, upstream: FakeUpstream, clock: Clock
) -> None:
    caller = limited(gateway, (Kind.TOKENS, 5, Window.DAY))
    served = caller.say("hello")
    assert served.status == 200
    budget = KeyBudget.objects.get()
    assert budget.used == served.json["usage"]["total_tokens"] > 5
    refused = caller.say("hello")
    assert refused.status == 429
    assert refused.error["code"] == "insufficient_quota"
    assert refused.error["type"] == "usage_limit_reached"
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    assert refused.error["resets_at"] == int(midnight.timestamp())
    assert refused.headers["retry-after"] == str(int((midnight - NOON).total_seconds()))
    assert refused.headers["x-should-retry"] == "false"
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    assert refused.headers["x-ratelimit-reset-tokens"] == "11h59m47s"
    clock.time = midnight
    assert caller.say("hello").status == 200


def test_a_failed_turn_counts_as_a_request_and_not_in_tokens(gateway: Gateway, upstream: FakeUpstream, clock: Clock) -> None:
    caller = limited(gateway, (Kind.REQUESTS, 5, Window.HOUR), (Kind.TOKENS, 500, Window.HOUR))
    upstream.script(faults.status(400, {"error": {"message": "no", "type": "invalid_request_error", "code": None}}))
    assert caller.say("hello").status == 400
    assert list(KeyBudget.objects.values_list("used", flat=True)) == [1, 0]


def test_a_cap_on_requests_at_once_frees_its_place_when_a_turn_ends(gateway: Gateway, upstream: FakeUpstream) -> None:
    caller = limited(gateway, max_in_flight=1)
    gate = faults.Gate()
    upstream.script(faults.gated(gate, after=2))
    with caller.stream(turn("hello")) as stream:
        stream.next("response.created")
        refused = caller.say("hello")
        assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) <= 120
        gate.open()
        stream.next("response.completed")
    assert gateway.door is not None
    gateway.door.settle()
    assert caller.say("hello").status == 200


def test_an_exchange_that_is_long_overdue_is_not_in_flight(gateway: Gateway, upstream: FakeUpstream) -> None:
    caller = limited(gateway, max_in_flight=1)
    key = ApiKey.objects.get(max_in_flight=1)
    now = datetime.now(UTC)
    lost = Exchange.objects.create(api_key=key, request_id="lost", streamed=True, stored=True, started_at=now, deadline_at=now)
    assert caller.say("hello").status == 429
    lost.deadline_at = now - timedelta(hours=1)
    lost.save()
    assert caller.say("hello").status == 200


def test_a_model_that_a_key_may_not_use_does_not_exist_for_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    caller = limited(gateway, allowed_models=["gpt-5.5"])
    refused = caller.say("hello", model="gpt-6.1-sol")
    assert (refused.status, refused.error["code"], refused.error["param"]) == (404, "model_not_found", "model")
    assert "do not have access" in refused.error["message"]
    assert gateway.exchange().status == "refused"
    assert [model["id"] for model in caller.get("/v1/models").json["data"]] == ["gpt-5.5"]
    assert [caller.get(f"/v1/models/{name}").status for name in ("gpt-5.5", "gpt-6.1-sol")] == [200, 404]
    official = caller.get("/v1/models?client_version=0.169.0")
    assert [model["slug"] for model in official.json["models"]] == ["gpt-5.5"]
    assert caller.say("hello").status == 200


def test_a_key_without_limits_costs_no_statement(gateway: Gateway, upstream: FakeUpstream) -> None:
    from responses_app import limits

    assert gateway.say("hello").headers.keys().isdisjoint({"x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"})
    exchange = gateway.exchange()
    exchange.api_key = ApiKey.objects.get(pk=exchange.api_key_id)
    with CaptureQueriesContext(
        connection,
    ) as statements:
        assert limits.admit(exchange, NOON) == Standing()
        limits.ended(exchange)
    assert len(statements) == 0


def test_of_forty_calls_at_once_a_budget_lets_just_so_many_through(gateway: Gateway, upstream: FakeUpstream) -> None:
    caller = limited(gateway, (Kind.REQUESTS, 7, Window.MONTH))
    start = threading.Barrier(20)

    def call(number: int) -> int:
        start.wait(10)
        return caller.say(f"hello {number}").status

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(call, range(20)))
    assert statuses == [200] * 7 + [429] * 13
    assert KeyBudget.objects.get().used == 7


@pytest.mark.parametrize(
    ("window", "now", "resets"),
    [
        (Window.MINUTE, datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.HOUR, datetime(2026, 11, 23, 12, 59, tzinfo=UTC), datetime(2026, 11, 23, 13, tzinfo=UTC)),
        (Window.DAY, datetime(2028, 2, 28, 1, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
        (Window.MONTH, datetime(2026, 12, 5, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_windows_begin_with_the_calendars(window: str, now: datetime, resets: datetime) -> None:
    budget = KeyBudget(kind=Kind.REQUESTS, amount=3, window=window)
    budget.take(3, now)
    assert budget.resets_at(now) == resets
    assert (budget.left_at(now), budget.left_at(resets)) == (0, 3)
    budget.take(1, resets)
    budget.take(1, now - timedelta(seconds=5) if window == Window.MINUTE else resets)
    assert budget.used == 2


def test_a_clock_that_was_far_ahead_does_not_lock_a_key_out() -> None:
    budget = KeyBudget(kind=Kind.REQUESTS, amount=1, window=Window.MINUTE)
    budget.take(1, NOON + timedelta(days=365))
    assert budget.left_at(NOON) == 1


def test_a_short_wait_may_be_waited_for_and_a_long_one_not() -> None:
    short = LimitReached("", Standing(), seconds=120, kind="requests", resets_at=NOON)
    long = LimitReached("", Standing(), seconds=121, kind="requests", resets_at=NOON)
    assert (short.headers(), long.headers()) == (
        {"retry-after": "120"},
        {"retry-after": "121", "x-should-retry": "false"},
    )

"""`Idempotency-Key`: one turn for a key and a body, whatever comes of the connection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils import timezone

from responses_app import idempotency
from responses_app.models import IdempotentRequest
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Reply, turn
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import until

KEY = {"idempotency_key": "order-1"}


def ask(gateway: Gateway, text: str = "hello", **over: Any) -> Reply:
    return gateway.post(turn(text, **over), **KEY)


def test_the_same_request_again_gets_the_same_response_and_no_second_turn(gateway: Gateway, upstream: FakeUpstream) -> None:
    first, again = ask(gateway), ask(gateway)
    assert again.json == first.json
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    reordered = gateway.post(dict(reversed(turn("hello").items())), **KEY)
    assert reordered.json == first.json
    assert len(upstream.turns) == 1
    assert gateway.post(turn("hello"), idempotency_key="order-2").json["id"] != first.json["id"]


def test_a_stream_is_replayed_as_a_stream(gateway: Gateway, upstream: FakeUpstream) -> None:
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}}
    for text in ("hello", 'call add with {"a": 1}'):
        headers = {"idempotency_key": f"of {text}"}
        with gateway.stream(turn(text, tools=[tool]), **headers) as stream:
            first = list(stream.events())
        with gateway.stream(turn(text, tools=[tool]), **headers) as stream:
            again = list(stream.events())
        assert again[-1]["response"] == first[-1]["response"]
        assert [event["sequence_number"] for event in again] == list(range(len(again)))
        assert list(dict.fromkeys(event["type"] for event in again)) == list(dict.fromkeys(event["type"] for event in first))
        told = ["".join(e["delta"] for e in events if e["type"].endswith(".delta")) for events in (first, again)]
        assert told[0] == told[1] != ""
    assert len(upstream.turns) == 2


def test_a_key_used_for_another_body_is_refused(gateway: Gateway) -> None:
    ask(gateway)
    reply = ask(gateway, "something else")
    assert (reply.status, reply.error["code"]) == (422, "idempotency_key_reused")


def test_a_request_in_flight_is_waited_for(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, 8))
    with gateway.stream(turn("hello"), **KEY) as stream:
        arriving = stream.events()
        next(arriving)
        reply = gateway.post({**turn("hello"), "stream": True}, **KEY)
        assert (reply.status, reply.error["code"]) == (409, "idempotent_request_in_flight")
        assert int(reply.headers["retry-after"]) > 0
        gate.open()
        done = list(arriving)[-1]["response"]
    assert gateway.post({**turn("hello"), "stream": True}, **KEY).events[-1]["response"] == done


def test_a_turn_that_failed_may_be_tried_again(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(
        faults.status(400, {"error": {"message": "No.", "type": "invalid_request_error", "code": "x", "param": None}})
    )
    assert ask(gateway).status == 400
    gateway.exchange()
    assert ask(gateway).status == 200
    assert ask(gateway, model=None).status == 422


def test_what_is_not_stored_is_not_taken_twice_either(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert ask(gateway, store=False).status == 200
    reply = ask(gateway, store=False)
    assert (reply.status, reply.error["code"]) == (409, "idempotent_response_gone")
    assert reply.headers["x-should-retry"] == "false"
    assert len(upstream.turns) == 1


def test_a_response_in_the_background_is_accepted_once(gateway: Gateway, upstream: FakeUpstream) -> None:
    first, again = ask(gateway, background=True).json, ask(gateway, background=True).json
    assert again["id"] == first["id"]
    streamed = gateway.post(turn("hello", background=True, stream=True), **KEY)
    assert streamed.status == 422
    until(lambda: gateway.get(f"/v1/responses/{first['id']}").json["status"] == "completed")
    assert len(upstream.turns) == 1


def test_what_was_refused_in_the_background_leaves_the_key_free(gateway: Gateway) -> None:
    assert ask(gateway, background=True, store=False).error["code"] == "background_not_stored"
    assert ask(gateway).status == 200


def test_a_response_that_was_deleted_while_it_was_made_is_gone(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, 8))
    made = ask(gateway, background=True).json
    assert gate.reached.wait(5)
    assert gateway.send("DELETE", f"/v1/responses/{made['id']}", None, gateway.headers({})).status == 200
    reply = ask(gateway, background=True)
    gate.open()
    assert (reply.status, reply.error["code"]) == (409, "idempotent_response_gone")


def test_keys_are_each_callers_own_and_last_a_day(gateway: Gateway, upstream: FakeUpstream) -> None:
    from tests.fakes.factories import make_key

    first = ask(gateway).json
    assert gateway.caller(make_key("other").secret).post(turn("hello"), **KEY).json["id"] != first["id"]
    IdempotentRequest.objects.update(taken_at=timezone.now() - timedelta(hours=25))
    assert ask(gateway).json["id"] != first["id"]
    idempotency.sweep("")
    assert IdempotentRequest.objects.count() == 1


def test_a_key_that_is_too_long_is_refused(gateway: Gateway) -> None:
    assert gateway.post(turn("hello"), idempotency_key="x" * 256).status == 400


def test_a_key_that_is_given_back_while_it_is_looked_at_is_free(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = ask(gateway).json
    given_back: list[str] = []

    def give_back(execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:
        if statement.startswith("SELECT") and "idempotentrequest" in statement and not given_back:
            given_back.append(statement)
            IdempotentRequest.objects.all().delete()
        return execute(statement, params, many, context)

    def watch(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
        connection.execute_wrappers.append(give_back)

    connection_created.connect(watch)
    try:
        assert ask(gateway).json["id"] != first["id"]
    finally:
        connection_created.disconnect(watch)
    assert given_back
    assert len(upstream.turns) == 2

"""Responses in the background: answered at once, polled, streamed again, cancelled, lost; each ends once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, transaction
from django.utils import timezone

from responses_app import background
from responses_app.models import BackgroundResponse, EventBatch, Exchange, Snapshot
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Caller, Event, Reply, text_of, turn
from tests.fakes.upstream import FakeUpstream
from tests.fakes.waiting import until


def begin(caller: Caller, text: str = "hello", **over: Any) -> Any:
    reply = caller.post(turn(text, background=True, **over))
    assert reply.status == 200, reply.body
    return reply.json


def of(response: Any, rest: str = "") -> str:
    return f"/v1/responses/{response['id']}{rest}"


def ended(caller: Caller, response: Any) -> Any:
    def look() -> Any:
        found = caller.get(of(response)).json
        return found if found["status"] not in {"queued", "in_progress"} else None

    return until(look)


def replay(caller: Caller, response: Any, after: int | None = None) -> list[Event]:
    reply = caller.get(of(response, "?stream=true" + ("" if after is None else f"&starting_after={after}")))
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"].startswith("text/event-stream")
    return reply.events


def delete(caller: Caller, response: Any) -> Reply:
    return caller.send("DELETE", of(response), None, caller.headers({}))


def test_it_is_answered_at_once_and_found_when_it_is_complete(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, 8))
    made = begin(gateway, metadata={"a": "b"}, temperature=0.5)
    assert (made["status"], made["background"], made["output"], made["usage"]) == ("queued", True, [], None)
    assert gate.reached.wait(5)
    running = until(lambda: (found := gateway.get(of(made)).json)["status"] == "in_progress" and found)
    assert {**running, "status": "queued"} == made
    assert gateway.get(of(made, "/input_items")).json["data"][0]["content"][0]["text"] == "hello"
    assert gateway.say("x", previous=made["id"]).error["code"] == "previous_response_not_found"
    gate.open()
    done = ended(gateway, made)
    assert done["status"] == "completed"
    assert "hello" in text_of(done)
    assert {key: done[key] for key in ("id", "created_at", "metadata", "background")} == {
        key: made[key] for key in ("id", "created_at", "metadata", "background")
    }
    assert gateway.get(of(made)).headers["x-floway-dropped-parameters"] == "temperature"
    assert '"hello"' in text_of(gateway.say("more", previous=made["id"]).json)
    assert "background" not in upstream.bodies[0]


def test_its_events_are_replayed_from_any_number_and_followed_live(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, 8))
    with gateway.stream(turn("hello", background=True)) as stream:
        arriving = stream.events()
        first, queued, running = next(arriving), next(arriving), next(arriving)
        assert [first["response"]["status"], queued["type"], running["type"]] == [
            "queued",
            "response.queued",
            "response.in_progress",
        ]
    assert gate.reached.wait(5)
    response = first["response"]
    gate.open()
    events = replay(gateway, response)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.created") == 1
    assert events[-1]["response"] == ended(gateway, response)
    for after in (0, 3, len(events) - 2):
        assert replay(gateway, response, after) == events[after + 1 :]
    assert replay(gateway, response, len(events) - 1) == []
    assert replay(gateway, response, 10_000) == []


def test_the_caller_may_leave_and_it_goes_on(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, 8))
    with gateway.stream(turn("hello", background=True)) as stream:
        made = stream.next("response.created")["response"]
    gate.open()
    assert ended(gateway, made)["status"] == "completed"


def test_a_cancellation_ends_it_upstream_too(gateway: Gateway, upstream: FakeUpstream) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(8, parting))
    made = begin(gateway)
    assert parting.waiting.wait(5)
    cancelled = gateway.post({}, of(made, "/cancel"))
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert parting.left.wait(2), "the upstream was not let go of within a second or two"
    assert gateway.post({}, of(made, "/cancel")).json == cancelled.json == gateway.get(of(made)).json
    last = replay(gateway, made)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")
    until(lambda: Exchange.objects.get().status == "failed")
    assert Exchange.objects.get().ended_by == "caller"
    assert not Snapshot.objects.exists()


def test_what_is_complete_is_not_cancelled_any_more(gateway: Gateway) -> None:
    done = ended(gateway, begin(gateway))
    reply = gateway.post({}, of(done, "/cancel"))
    assert (reply.status, reply.json) == (200, done)


def test_one_whose_last_commit_is_in_doubt_is_kept(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def unheard(run: Any, failure: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(background, "transaction", SimpleNamespace(atomic=committed_and_cut_off))
            end(run, failure)

    @contextmanager
    def committed_and_cut_off() -> Iterator[None]:
        with transaction.atomic():
            yield
        raise OperationalError("server closed the connection unexpectedly")

    late: list[Callable[[], None]] = []
    end = background._Run._end
    monkeypatch.setattr(background._Run, "_end", unheard)
    monkeypatch.setattr(background, "write_later", lambda write, *_: late.append(write))
    made = begin(gateway)
    until(lambda: late)[0]()
    assert gateway.get(of(made)).json["status"] == "completed"
    assert gateway.say("and on", previous=made["id"]).status == 200


def test_a_failure_is_told_by_the_object_and_by_the_events(gateway: Gateway, upstream: FakeUpstream) -> None:
    unknown = ended(gateway, begin(gateway, model="gpt-nonsense"))
    assert (unknown["status"], unknown["error"]["code"]) == ("failed", "model_not_found")
    assert [event["type"] for event in replay(gateway, unknown)] == ["response.created", "response.queued", "response.failed"]
    upstream.script(faults.cut_after(6))
    cut = ended(gateway, begin(gateway))
    assert (cut["status"], cut["error"]["code"]) == ("failed", "server_error")
    assert replay(gateway, cut)[-1]["response"] == cut


def test_a_response_whose_process_is_lost_has_failed_and_is_not_made_anew(gateway: Gateway, upstream: FakeUpstream) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(8, parting))
    made = begin(gateway)
    assert parting.waiting.wait(5)
    # What remains of one whose process was killed: a lease that nobody renews.
    BackgroundResponse.objects.update(status="in_progress", lease_until=timezone.now() - timedelta(seconds=1))
    lost = gateway.get(of(made)).json
    assert (lost["status"], lost["error"]["code"]) == ("failed", "server_error")
    assert replay(gateway, made)[-1]["response"] == lost
    assert parting.left.wait(2), "who finds its lease run out stops"
    assert gateway.get(of(made)).json == lost
    assert len(upstream.turns) == 1


def test_a_deleted_one_ends_and_leaves_nothing(gateway: Gateway, upstream: FakeUpstream) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(8, parting))
    made = begin(gateway)
    assert parting.waiting.wait(5)
    assert delete(gateway, made).json["deleted"] is True
    assert parting.left.wait(2)
    assert [reply.status for reply in (gateway.get(of(made)), delete(gateway, made))] == [404, 404]
    assert not EventBatch.objects.exists()
    done = ended(gateway, begin(gateway))
    delete(gateway, done)
    assert gateway.get(of(done, "?stream=true")).status == 404
    assert gateway.say("x", previous=done["id"]).error["code"] == "previous_response_not_found"


def test_another_keys_is_unknown(gateway: Gateway) -> None:
    from tests.fakes.factories import make_key

    made, other = begin(gateway), gateway.caller(make_key("other").secret)
    replies = [
        other.get(of(made)),
        other.get(of(made, "?stream=true")),
        other.post({}, of(made, "/cancel")),
        delete(other, made),
    ]
    assert [reply.error["message"] for reply in replies] == [f"Response with id '{made['id']}' not found."] * 4
    assert ended(gateway, made)["status"] == "completed"


def test_there_are_as_many_as_the_key_may_have(gateway: Gateway, upstream: FakeUpstream, settings: LazySettings) -> None:
    from tests.fakes.factories import make_key

    settings.FLOWAY_BACKGROUND_PER_KEY = 1
    parting = faults.Parting()
    upstream.script(faults.hang_after(8, parting))
    made = begin(gateway)
    assert parting.waiting.wait(5)
    refused = gateway.post(turn("two", background=True))
    assert (refused.status, refused.error["code"]) == (429, "too_many_background_responses")
    assert int(refused.headers["retry-after"]) > 0
    begin(gateway.caller(make_key("other").secret))
    gateway.post({}, of(made, "/cancel"))
    assert ended(gateway, begin(gateway))["status"] == "completed"


def test_its_content_is_sealed_and_its_events_are_forgotten_after_a_while(gateway: Gateway) -> None:
    done = ended(gateway, begin(gateway, "heliotrope"))
    assert not any(b"heliotrope" in bytes(batch.sealed) for batch in EventBatch.objects.all())
    background.sweep("")
    assert EventBatch.objects.exists()
    BackgroundResponse.objects.update(ended_at=timezone.now() - timedelta(minutes=11))
    background.sweep("")
    assert not EventBatch.objects.exists()
    assert not BackgroundResponse.objects.exists()
    assert gateway.get(of(done)).json == done
    assert gateway.get(of(done, "?stream=true")).error["code"] == "not_streamable"


@pytest.mark.parametrize(
    ("over", "code", "param"),
    [
        ({"store": False}, "background_not_stored", "background"),
        ({"previous_response_id": "resp_x"}, "previous_response_not_found", "previous_response_id"),
        ({"background": "yes"}, "invalid_type", "background"),
        ({"model": None}, "missing_required_parameter", "model"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_accepted(gateway: Gateway, over: Any, code: str, param: str) -> None:
    reply = gateway.post({**turn("hello", background=True), **over})
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, code, param)
    assert not BackgroundResponse.objects.exists()


@pytest.mark.parametrize("query", ["stream=maybe", "stream=true&starting_after=-1", "starting_after=1"])
def test_a_query_that_cannot_be_is_refused(gateway: Gateway, query: str) -> None:
    done = ended(gateway, begin(gateway))
    assert gateway.get(of(done, f"?{query}")).status == 400

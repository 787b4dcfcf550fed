"""The Responses API over a WebSocket: the same turns, one after the other, and a memory that ends with the connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings
from wsproto.events import BytesMessage, CloseConnection, Ping

from responses_app.models import Exchange, Item, Snapshot
from responses_app.sockets.house import House
from tests.conftest import Gateway
from tests.fakes import faults, socket
from tests.fakes.caller import text_of, turn
from tests.fakes.factories import make_key
from tests.fakes.upstream import FakeUpstream

CLI = {
    "originator": "codex_exec",
    "user_agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)",
}
SESSION = "01a2063f-a656-7a81-9d23-6f5dfedef29e"
ADD = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


def test_a_turn_has_the_events_of_a_stream_each_in_a_message(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        caller.create("Hello")
        events = caller.turn()
    assert [events[0]["type"], events[-1]["type"]] == ["response.created", "response.completed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert "Hello" in text_of(events[-1]["response"])
    row = gateway.exchange()
    assert (row.status, row.streamed, row.response_id) == ("completed", True, events[-1]["response"]["id"])


def test_parameters_may_stand_in_an_object_of_their_own(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        caller.say({"type": "response.create", "response": {"model": "gpt-5.5", "input": "nested"}})
        assert "nested" in text_of(caller.result())


def test_a_conversation_goes_on_without_being_stored_as_long_as_the_socket_is_open(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    with socket.opened(gateway) as caller:
        first = caller.ask("My name is Ada.", store=False)
        second = caller.ask("What is my name?", previous=first["id"], store=False)
        third = caller.ask("And now?", previous=second["id"], store=False)
        with socket.opened(gateway) as another:
            unknown = another.ask("x", previous=second["id"])
    assert "My name is Ada." in text_of(second)
    assert (first["store"], second["previous_response_id"]) == (False, first["id"])
    assert "What is my name?" in text_of(third)
    assert [len(body["input"]) for body in upstream.bodies] == sorted({len(body["input"]) for body in upstream.bodies})
    assert len({request.header("session-id") for request in upstream.turns}) == 1
    assert {request.header("x-codex-window-id") for request in upstream.turns} == {
        f"{upstream.turns[0].header('session-id')}:0"
    }
    assert Item.objects.count() == 0
    assert (unknown["status"], unknown["error"]["code"]) == (400, "previous_response_not_found")
    with socket.opened(gateway) as later:
        assert later.ask("x", previous=third["id"])["error"]["param"] == "previous_response_id"


def test_a_fork_within_a_socket_takes_a_window_of_its_own(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        first = caller.ask("root", store=False)
        for text in ("one", "two"):
            caller.ask(text, previous=first["id"], store=False)
    windows = [(request.header("x-codex-window-id") or "").rpartition(":")[2] for request in upstream.turns]
    assert windows == ["0", "0", "1"]


def test_a_stored_turn_goes_on_over_any_road(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        first = caller.ask("My name is Ada.")
    second = gateway.say("What is my name?", previous=first["id"]).json
    with socket.opened(gateway) as caller:
        third = caller.ask("And what did I ask?", previous=second["id"])
    assert "My name is Ada." in text_of(second)
    assert "What is my name?" in text_of(third)


def test_what_a_prewarm_brings_is_remembered_and_nothing_goes_upstream(gateway: Gateway, upstream: FakeUpstream) -> None:
    developer = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}
    with socket.opened(gateway) as caller:
        caller.create([developer], generate=False, store=False)
        events = caller.turn()
        assert upstream.requests == []
        answer = caller.ask("Hello", previous=events[-1]["response"]["id"], store=False)
    assert [event["type"] for event in events] == ["response.created", "response.completed"]
    assert (events[-1]["response"]["output"], events[-1]["response"]["usage"]["total_tokens"]) == ([], 0)
    texts = json.dumps(upstream.bodies[0]["input"])
    assert "Be brief." in texts
    assert "Hello" in text_of(answer)
    assert Exchange.objects.count() == 1


def test_errors_are_told_in_one_event_and_the_socket_stays_open(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        found = []
        messages: list[Any] = [
            "no json",
            [],
            {"type": "session.update", "event_id": "evt_1"},
            {"type": "response.create", "input": "x", "event_id": "evt_2"},
            {"type": "response.create", "response": 1},
            {"type": "response.create", "model": "gpt-nonsense", "input": "x", "event_id": "evt_3"},
            {"type": "response.create", "model": "gpt-5.5", "input": "x", "stream_id": "lane"},
        ]
        for message in messages:
            caller.say(message)
            (event,) = caller.turn()
            assert set(event["error"]) == {"message", "type", "param", "code"}
            found.append((event["status"], event["error"]["param"] or event["error"]["code"], event.get("event_id")))
        assert caller.ask("still there")["status"] == "completed"
    assert found == [
        (400, "invalid_json", None),
        (400, "invalid_json", None),
        (400, "type", "evt_1"),
        (400, "model", "evt_2"),
        (400, "response", None),
        (404, "model", "evt_3"),
        (400, "stream_id", None),
    ]


def test_a_second_turn_meanwhile_is_refused_and_the_first_goes_on(gateway: Gateway, upstream: FakeUpstream) -> None:
    gate = faults.Gate()
    upstream.script(faults.gated(gate, 4))
    with socket.opened(gateway) as caller:
        caller.create("first")
        assert gate.reached.wait(10)
        caller.create("second", event_id="evt_second")
        busy = next(event for event in caller.events() if event["type"] == "error")
        gate.open()
        assert caller.result()["status"] == "completed"
    assert (busy["status"], busy["error"]["code"], busy["event_id"]) == (409, "response_in_progress", "evt_second")
    assert len(upstream.turns) == 1


@pytest.mark.parametrize("politely", [True, False])
def test_a_caller_who_leaves_ends_the_upstream_at_once(gateway: Gateway, upstream: FakeUpstream, politely: bool) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_after(5, parting))
    with socket.opened(gateway) as caller:
        caller.create("Hello")
        assert parting.waiting.wait(10)
        if politely:
            caller.frame(CloseConnection(1000))
        else:
            caller.leave()
        assert parting.left.wait(5)
    row = gateway.exchange()
    assert (row.status, row.ended_by) == ("failed", "caller")


def test_a_failed_turn_ends_what_it_would_have_continued(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        first = caller.ask("My name is Ada.", store=False)
        upstream.script(faults.cut_after(6))
        assert caller.ask("again", previous=first["id"], store=False)["status"] == "failed"
        assert caller.ask("again", previous=first["id"], store=False)["error"]["code"] == "previous_response_not_found"
        assert caller.ask("anew", store=False)["status"] == "completed"


def test_a_revoked_key_ends_the_socket_with_its_next_turn(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        assert caller.ask("one")["status"] == "completed"
        assert gateway.issued is not None
        gateway.issued.key.secrets.all().delete()
        told = caller.ask("two")
        assert (told["status"], told["error"]["code"]) == (401, "invalid_api_key")
        assert caller.ended() == 1008
    assert len(upstream.turns) == 1


def test_messages_that_are_binary_or_too_long_end_the_socket(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        caller.frame(BytesMessage(b"{}"))
        assert caller.result()["status"] == 400
        assert caller.ended() == 1003
    with override_settings(FLOWAY_MAX_BODY_BYTES=1000), socket.opened(gateway) as caller:
        caller.create("x" * 2000)
        assert caller.result()["error"]["code"] == "request_too_large"
        assert caller.ended() == 1009
    with socket.opened(gateway) as caller:
        caller.raw(b"\x81\x02{}")  # not masked
        assert caller.ended() == 1002


def test_a_socket_that_is_worn_out_says_so_in_the_official_clients_words(gateway: Gateway, upstream: FakeUpstream) -> None:
    with override_settings(FLOWAY_WEBSOCKET_SECONDS=0), socket.opened(gateway) as caller:
        told = caller.ask("x")
        assert (told["status"], told["error"]["code"]) == (400, "websocket_connection_limit_reached")
        assert caller.ended() == 1001


def test_a_silent_socket_is_pinged_and_an_idle_one_closed(gateway: Gateway, upstream: FakeUpstream) -> None:
    with override_settings(FLOWAY_KEEPALIVE_SECONDS=0.05), socket.opened(gateway) as caller:
        caller.frame(Ping(b"you"))
        assert caller.ask("x")["status"] == "completed"
        caller.pinged()
        assert caller.pongs == 1
    with override_settings(FLOWAY_KEEPALIVE_SECONDS=0.05, FLOWAY_WEBSOCKET_IDLE_SECONDS=0), socket.opened(gateway) as caller:
        assert caller.ended() == 1001


def test_a_key_has_so_many_sockets_and_then_callers_use_post(gateway: Gateway, upstream: FakeUpstream) -> None:
    with override_settings(FLOWAY_WEBSOCKETS_PER_KEY=1):
        with socket.opened(gateway) as caller:
            assert caller.ask("x")["status"] == "completed"
            assert socket.refused(gateway) == 426
            with socket.opened(gateway.caller(make_key().secret)):
                pass
        assert gateway.door is not None
        gateway.door.settle()
        with socket.opened(gateway):
            pass
    with override_settings(FLOWAY_WEBSOCKETS=0):
        assert socket.refused(gateway) == 426


def test_a_socket_is_opened_by_a_key_alone_and_for_nobodys_page(gateway: Gateway, upstream: FakeUpstream) -> None:
    nobody = gateway.caller("fw_unknown")
    assert socket.refused(nobody) == 401
    assert socket.refused(nobody, cookie=f"sessionid={gateway.key}; key={gateway.key}") == 401
    assert socket.refused(nobody, **CLI) == 426  # and its POST is told why
    assert socket.refused(gateway, origin="https://evil.example") == 403
    assert socket.refused(gateway, sec_websocket_key="short") == 400
    assert socket.refused(gateway, sec_websocket_version="8") == 400
    with socket.opened(gateway, origin="http://127.0.0.1:8000"):
        pass


def test_what_a_connection_remembers_has_bounds(gateway: Gateway, upstream: FakeUpstream) -> None:
    with override_settings(FLOWAY_WEBSOCKET_MEMORY_BYTES=8000), socket.opened(gateway) as caller:
        large = caller.ask("x" * 2000, store=False)
        assert caller.ask("y", previous=large["id"], store=False)["error"]["code"] == "previous_response_not_found"
        small = caller.ask("x", store=False)
        assert caller.ask("y", previous=small["id"], store=False)["status"] == "completed"


def test_the_handshakes_ids_give_way_to_those_of_a_message(gateway: Gateway, upstream: FakeUpstream) -> None:
    frozen, own = "0197f7a0-0000-7000-8000-00000000000a", "0197f7a0-0000-7000-8000-00000000000b"
    with socket.opened(gateway, **CLI, session_id=frozen) as caller:
        caller.ask("one", client_metadata={"session_id": own, "x-codex-ws-stream-request-start-ms": "1"})
    assert upstream.turns[0].header("session-id") == own
    assert "x-codex-ws-stream-request-start-ms" not in upstream.bodies[0]["client_metadata"]


def test_the_state_of_a_turn_is_an_event_for_official_clients_alone(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "state-1"
    with socket.opened(gateway, **CLI) as caller:
        caller.create("one")
        first, *_ = caller.turn()
    assert first == {"type": "response.metadata", "headers": {"x-codex-turn-state": "state-1"}}
    with socket.opened(gateway) as caller:
        caller.create("one")
        assert "response.metadata" not in {event["type"] for event in caller.turn()}


def test_switched_off_it_is_answered_426_so_that_the_official_client_falls_back_at_once(gateway: Gateway) -> None:
    with override_settings(FLOWAY_WEBSOCKET=False):
        assert socket.refused(gateway) == 426
        assert socket.refused(gateway, **CLI) == 426


def test_a_continued_turn_that_was_not_stored_leaves_its_row(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        first = caller.ask("one", store=False)
        second = caller.ask("two", previous=first["id"], store=False)
    assert Snapshot.objects.get(response_id=second["id"]).parent == Snapshot.objects.get(response_id=first["id"])


def test_a_process_that_is_to_end_closes_idle_sockets_and_lets_turns_end(
    gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, gate = House(), faults.Gate()
    monkeypatch.setattr("responses_app.sockets.door.HOUSE", house)
    upstream.script(faults.gated(gate, 4))
    with socket.opened(gateway) as idle, socket.opened(gateway) as busy:
        busy.create("Hello")
        assert gate.reached.wait(10)
        house.close()
        assert idle.ended() == 1001
        assert socket.refused(gateway) == 426
        gate.open()
        assert busy.result()["status"] == "completed"
        assert busy.ended() == 1001


def test_a_caller_who_leaves_before_an_answer_begins_ends_the_upstream_too(gateway: Gateway, upstream: FakeUpstream) -> None:
    parting = faults.Parting()
    upstream.script(faults.hang_before_the_head(parting))
    with socket.opened(gateway) as caller:
        caller.create("Hello")
        assert parting.waiting.wait(10)
        caller.leave()
        assert parting.left.wait(5)
    assert gateway.exchange().ended_by == "caller"


def windows(upstream: FakeUpstream) -> list[str | None]:
    return [request.header("x-codex-window-id") for request in upstream.turns]


def texts(upstream: FakeUpstream) -> list[str]:
    """What users said in the last request that reached the backend."""
    said = [item for item in upstream.bodies[-1]["input"] if item.get("role") == "user"]
    return [item["content"][0]["text"] for item in said]


def test_a_prewarm_goes_on_from_the_response_that_it_continues(gateway: Gateway, upstream: FakeUpstream) -> None:
    root = gateway.post(turn("root"), session_id=SESSION).json
    gateway.say("one", previous=root["id"])
    with socket.opened(gateway) as caller:
        warm = caller.ask("brought along", previous=root["id"], generate=False)
        warmer = caller.ask("this too", previous=warm["id"], generate=False)
        fork = caller.ask("two", previous=warmer["id"])
        told = texts(upstream)
        tip = caller.ask([], previous=fork["id"], generate=False, store=False)
        caller.ask("three", previous=tip["id"], store=False)
    assert told == ["root", "brought along", "this too", "two"]
    assert texts(upstream) == [*told, "three"]
    assert {request.header("session-id") for request in upstream.turns} == {SESSION}
    assert windows(upstream) == [f"{SESSION}:{number}" for number in (0, 0, 1, 1)]
    assert [row.parent and row.parent.response_id for row in Snapshot.objects.order_by("pk")][2:] == [root["id"], fork["id"]]
    listed = gateway.get(f"/v1/responses/{fork['id']}/input_items?order=asc").json["data"]
    assert [item["content"][0]["text"] for item in listed if item.get("role") == "user"] == told


def test_a_prewarm_goes_on_from_a_turn_that_is_not_stored(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        root = caller.ask("root", store=False)
        warm = caller.ask("brought along", previous=root["id"], generate=False, store=False)
        caller.ask("one", previous=root["id"], store=False)
        caller.ask("two", previous=warm["id"], store=False)
    assert texts(upstream) == ["root", "brought along", "two"]
    assert windows(upstream) == [f"{upstream.turns[0].header('session-id')}:{number}" for number in (0, 0, 1)]
    assert Item.objects.count() == 0


def test_a_tools_output_that_a_prewarm_brings_belongs_to_the_users_turn(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.turn_state = "state-1"
    with socket.opened(gateway) as caller:
        root = caller.ask("call add", tools=[ADD])
        output = {"type": "function_call_output", "call_id": root["output"][-1]["call_id"], "output": "3"}
        warm = caller.ask([output], previous=root["id"], generate=False)
        caller.ask([], previous=warm["id"], tools=[ADD])
    first, second = (body["client_metadata"]["turn_id"] for body in upstream.bodies)
    assert first == second
    assert upstream.turns[1].header("x-codex-turn-state") == "state-1"


def test_a_prewarm_of_a_response_that_was_deleted_is_continued_no_more(gateway: Gateway, upstream: FakeUpstream) -> None:
    root = gateway.say("root").json
    with socket.opened(gateway) as caller:
        warm = caller.ask([], previous=root["id"], generate=False)
        assert gateway.send("DELETE", f"/v1/responses/{root['id']}", None, gateway.headers({})).status == 200
        told = caller.ask("go on", previous=warm["id"])
        again = caller.ask([{"type": "item_reference", "id": root["output"][-1]["id"]}])
    assert (told["status"], told["error"]["code"]) == (400, "previous_response_not_found")
    assert again["status"] == 404
    assert len(upstream.turns) == 1


@pytest.mark.parametrize("store", [None, True, False])
def test_a_prewarm_says_that_it_is_not_stored(gateway: Gateway, upstream: FakeUpstream, store: bool | None) -> None:
    with socket.opened(gateway) as caller:
        caller.create("Hello", generate=False, **({} if store is None else {"store": store}))
        events = caller.turn()
    assert [event["response"]["store"] for event in events] == [False, False]
    assert gateway.get(f"/v1/responses/{events[-1]['response']['id']}").status == 404


def test_a_socket_takes_no_turn_in_the_background(gateway: Gateway, upstream: FakeUpstream) -> None:
    with socket.opened(gateway) as caller:
        for nested in ({"background": True, "generate": False}, {"response": {"background": True}}, {"background": True}):
            caller.say({"type": "response.create", "model": "gpt-5.5", "input": "x", "event_id": "evt_1", **nested})
            (told,) = caller.turn()
            assert (told["status"], told["event_id"]) == (400, "evt_1")
            assert (told["error"]["param"], told["error"]["code"]) == ("background", "unsupported_parameter")
        answer = caller.ask("x", background=False)
        assert (answer["status"], answer["background"]) == ("completed", False)
    assert len(upstream.turns) == 1


@pytest.mark.parametrize("continues", [True, False])
def test_an_item_of_a_turn_that_is_not_stored_is_known_on_its_own_socket(
    gateway: Gateway, upstream: FakeUpstream, continues: bool
) -> None:
    with socket.opened(gateway) as caller:
        first = caller.ask("Hello", store=False)
        previous = first["id"] if continues else None
        reference = {"type": "item_reference", "id": first["output"][-1]["id"]}
        asked = [{"type": "message", "role": "user", "content": "What was that?"}, reference]
        assert caller.ask(asked, previous=previous, store=False)["status"] == "completed"
        assert upstream.bodies[-1]["input"][-1]["content"][0]["text"] == text_of(first)
        told = caller.ask([{"type": "item_reference", "id": "msg_unknown"}], previous=previous, store=False)
        assert (told["status"], told["error"]["param"]) == (404, "input[0].id")
        with socket.opened(gateway) as another:
            assert another.ask([reference])["status"] == 404
    assert Item.objects.count() == 0

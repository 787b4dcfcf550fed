"""The Conversations API: objects and items of one key, and turns that go on where the conversation stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction

from responses_app.models import NamedConversation
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import Caller, Reply, text_of, turn
from tests.fakes.upstream import FakeUpstream

ROOT = "/v1/conversations"


def create(caller: Caller, *texts: str, **over: Any) -> Any:
    reply = caller.post({"items": [user(text) for text in texts], **over}, ROOT)
    assert reply.status == 200, reply.body
    return reply.json


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def at(conversation: Any, rest: str = "") -> str:
    return f"{ROOT}/{conversation['id']}{rest}"


def delete(caller: Caller, path: str) -> Reply:
    return caller.send("DELETE", path, None, caller.headers({}))


def listed(caller: Caller, conversation: Any, query: str = "order=asc&limit=100") -> list[Any]:
    reply = caller.get(at(conversation, f"/items?{query}"))
    assert reply.status == 200, reply.body
    return reply.json["data"]


def said(caller: Caller, conversation: Any) -> list[str]:
    return [item["content"][0]["text"] for item in listed(caller, conversation) if item["type"] == "message"]


def window(upstream: FakeUpstream, number: int) -> str:
    return upstream.bodies[number]["client_metadata"]["x-codex-window-id"].rpartition(":")[2]


def session(upstream: FakeUpstream, number: int) -> str:
    return upstream.bodies[number]["client_metadata"]["session_id"]


def test_a_conversation_is_made_read_changed_and_deleted(gateway: Gateway) -> None:
    made = create(gateway, metadata={"topic": "demo"})
    assert (made["object"], made["metadata"]) == ("conversation", {"topic": "demo"})
    assert made["id"].startswith("conv_")
    assert gateway.get(at(made)).json == made
    changed = gateway.post({"metadata": {"topic": "other"}}, at(made)).json
    assert changed == {**made, "metadata": {"topic": "other"}} == gateway.get(at(made)).json
    assert delete(gateway, at(made)).json == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    for reply in (gateway.get(at(made)), gateway.get(at(made, "/items")), delete(gateway, at(made))):
        assert (reply.status, reply.error["message"]) == (404, f"Conversation with id '{made['id']}' not found.")
    assert gateway.say("x", conversation=made["id"]).status == 404


def test_a_conversation_needs_no_body(gateway: Gateway) -> None:
    assert gateway.post(b"", ROOT).json["metadata"] == {}


def test_turns_go_on_where_the_conversation_stands(gateway: Gateway, upstream: FakeUpstream) -> None:
    made = create(gateway, "My name is Ada.")
    first = gateway.say("What is my name?", conversation=made["id"]).json
    assert first["conversation"] == {"id": made["id"]}
    assert first["previous_response_id"] is None
    assert "My name is Ada." in text_of(first)
    second = gateway.say("And now?", conversation={"id": made["id"]}).json
    assert "What is my name?" in text_of(second)
    assert said(gateway, made) == ["My name is Ada.", "What is my name?", text_of(first), "And now?", text_of(second)]
    assert session(upstream, 0) == session(upstream, 1)
    assert [window(upstream, 0), window(upstream, 1)] == ["0", "0"]
    assert not any("conversation" in body for body in upstream.bodies)
    assert gateway.get(f"/v1/responses/{second['id']}").json == second


def test_items_are_added_listed_read_and_taken_out(gateway: Gateway, upstream: FakeUpstream) -> None:
    made = create(gateway, "one")
    answer = gateway.say("two", conversation=made["id"]).json
    added = gateway.post({"items": [user("three"), user("three")]}, at(made, "/items")).json
    assert [item["content"][0]["text"] for item in added["data"]] == ["three", "three"]
    assert (added["first_id"], added["has_more"]) == (added["data"][0]["id"], False)
    items = listed(gateway, made)
    assert [item["id"] for item in items[-2:]] == [item["id"] for item in added["data"]]
    assert len({item["id"] for item in items}) == len(items)
    assert listed(gateway, made, "limit=2") == items[:-3:-1]
    assert gateway.get(at(made, f"/items/{items[0]['id']}")).json == items[0]
    assert items[2:4] == answer["output"]
    for gone in (items[-1], items[0]):
        assert delete(gateway, at(made, f"/items/{gone['id']}")).json == made
        assert gateway.get(at(made, f"/items/{gone['id']}")).status == 404
    assert listed(gateway, made) == items[1:-1]
    gateway.say("four", conversation=made["id"])
    assert "one" not in [item["content"] for item in upstream.bodies[1]["input"] if "content" in item]
    assert said(gateway, made)[:-1] == ["two", text_of(answer), "three", "four"]
    assert [item["id"] for item in listed(gateway, made)][:4] == [item["id"] for item in items[1:-1]]
    assert session(upstream, 0) == session(upstream, 1)
    assert [window(upstream, 0), window(upstream, 1)] == ["0", "1"], "another history is another window"


def test_two_conversations_that_begin_alike_have_sessions_of_their_own(gateway: Gateway, upstream: FakeUpstream) -> None:
    for _ in range(2):
        gateway.say("hello", conversation=create(gateway)["id"])
    gateway.say("hello")
    assert len({session(upstream, number) for number in range(3)}) == 3


def test_a_conversation_takes_one_turn_at_a_time(gateway: Gateway, upstream: FakeUpstream) -> None:
    made, gate = create(gateway), faults.Gate()
    upstream.script(faults.gated(gate, 8))
    with gateway.stream(turn("one", conversation=made["id"])) as stream:
        arriving = stream.events()
        next(arriving)
        locked = gateway.say("two", conversation=made["id"])
        assert (locked.status, locked.error["code"], locked.error["param"]) == (409, "conversation_locked", "conversation")
        assert int(locked.headers["retry-after"]) > 0
        assert gateway.post({"items": [user("meanwhile")]}, at(made, "/items")).status == 200
        gate.open()
        assert [event["type"] for event in arriving][-1] == "response.completed"
    assert said(gateway, made)[0] == "one"
    assert said(gateway, made)[-1] == "meanwhile"
    assert gateway.say("three", conversation=made["id"]).status == 200


def test_a_failed_turn_leaves_the_conversation_as_it_was(gateway: Gateway, upstream: FakeUpstream) -> None:
    made = create(gateway, "one")
    before = listed(gateway, made)
    upstream.script(faults.cut_after(6))
    gateway.say("two", conversation=made["id"])
    gateway.exchange()
    assert listed(gateway, made) == before
    assert gateway.say("two", conversation=made["id"]).status == 200


def test_a_turn_that_lost_a_race_is_not_lost(gateway: Gateway) -> None:
    from responses_app import conversing

    made = create(gateway, "zero")
    row = NamedConversation.objects.get()
    joined = conversing.join(row.api_key_id, made["id"])
    first = gateway.say("one", conversation=made["id"]).json
    items = listed(gateway, made)
    late = [user("zero"), user("late")]
    with transaction.atomic():
        conversing.advance(joined, first["id"], late)
    assert [item["id"] for item in listed(gateway, made)][: len(items)] == [item["id"] for item in items]
    assert said(gateway, made) == ["zero", "one", text_of(first), "late"], "what waited is taken up once"


def test_a_compaction_replaces_the_conversations_items(gateway: Gateway, upstream: FakeUpstream) -> None:
    made = create(gateway)
    gateway.say("one", conversation=made["id"])
    gateway.post(turn("", input=[{"type": "compaction_trigger"}], conversation=made["id"]))
    assert [item["type"] for item in listed(gateway, made)] == ["message", "compaction"]
    gateway.say("two", conversation=made["id"])
    assert window(upstream, 2) == "1"


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user"}, {"role": "user", "content": 5}, {"role": "user", "content": [5, {}, {"type": 5}]},
        {"role": "user", "content": [{"type": "input_image"}]}, {"type": "reasoning", "summary": 5},
        {"type": "x_call", "status": 5, "id": 5}, {"type": None, "role": "user", "content": "x"},
        {"type": "function_call_output", "call_id": "c", "output": "x", "id": "x" * 500},
    ],
    ids=str,
)  # fmt: skip
def test_an_odd_item_never_ends_in_a_500(gateway: Gateway, item: Any) -> None:
    made = gateway.post({"items": [item, item]}, ROOT).json
    ids = [item["id"] for item in listed(gateway, made)]
    assert len({json.dumps(name) for name in ids}) == 2
    assert delete(gateway, at(made, f"/items/{ids[0]}")).status == 200


def test_content_is_sealed(gateway: Gateway) -> None:
    create(gateway, "heliotrope", metadata={"colour": "heliotrope"})
    assert b"heliotrope" not in bytes(NamedConversation.objects.get().sealed)


def test_another_keys_conversation_is_unknown(gateway: Gateway) -> None:
    from tests.fakes.factories import make_key

    made, other = create(gateway, "one"), gateway.caller(make_key("other").secret)
    item = listed(gateway, made)[0]["id"]
    replies = [
        other.get(at(made)),
        other.post({"metadata": {}}, at(made)),
        delete(other, at(made)),
        other.get(at(made, "/items")),
        other.post({"items": [user("x")]}, at(made, "/items")),
        other.get(at(made, f"/items/{item}")),
        delete(other, at(made, f"/items/{item}")),
        other.say("x", conversation=made["id"]),
    ]
    message = f"Conversation with id '{made['id']}' not found."
    assert {(reply.status, reply.error["message"]) for reply in replies} == {(404, message)}
    assert said(gateway, made) == ["one"]


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"previous_response_id": "resp_x"}, "conversation"), ({"store": False}, "store"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": {}}, "conversation"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_conversation_is_refused_by_name(gateway: Gateway, over: Any, param: str) -> None:
    reply = gateway.post({**turn("x"), "conversation": create(gateway)["id"], **over})
    assert (reply.status, reply.error["param"]) == (400, param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": 5}, "items"), ({"items": [user("x")] * 21}, "items"),
        ({"items": [5]}, "items[0]"), ({"items": [{}]}, "items[0]"),
        ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "items[0]"), ({"metadata": 5}, "metadata"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"), ({"metadata": {"a": 5}}, "metadata"),
        ({"metadata": {"a" * 65: "x"}}, "metadata"), ({"metadata": {"a": "x" * 513}}, "metadata"),
    ],
)  # fmt: skip
def test_what_no_conversation_can_hold_is_refused_by_name(gateway: Gateway, body: Any, param: str) -> None:
    reply = gateway.post(body, ROOT)
    assert (reply.status, reply.error["param"]) == (400, param)

"""Stored responses by their id: read back, listed, deleted, each for its own key alone."""

from __future__ import annotations

from typing import Any

import pytest

from responses_app.models import Snapshot
from tests.conftest import Gateway
from tests.fakes.caller import Caller, Reply, text_of, turn


def delete(caller: Caller, path: str) -> Reply:
    return caller.send("DELETE", path, None, caller.headers({}))


def of(response: Any, rest: str = "") -> str:
    return f"/v1/responses/{response['id']}{rest}"


def test_a_response_is_read_back_as_it_was_answered(gateway: Gateway) -> None:
    body = turn("hello", instructions="Be brief.", metadata={"a": "b"}, user="u", tools=[{"type": "function", "name": "f"}])
    made = gateway.post(body).json
    again = gateway.get(of(made))
    assert again.status == 200, again.body
    assert again.json == made
    assert again.headers["cache-control"] == "private, no-store"


def test_a_streamed_response_is_read_back_as_it_was_completed(gateway: Gateway) -> None:
    first = gateway.say("one").json
    with gateway.stream(turn("two", previous=first["id"])) as stream:
        made = stream.next("response.completed")["response"]
    assert gateway.get(of(made)).json == made


def test_an_answer_at_rest_is_sealed_and_holds_no_item_twice(gateway: Gateway) -> None:
    gateway.say("a word that nobody else says: heliotrope")
    snapshot = Snapshot.objects.get()
    assert b"heliotrope" not in bytes(snapshot.answer)
    gateway.say("x" * 100_000)
    assert len(Snapshot.objects.latest("pk").answer) < 2000


def test_what_is_not_stored_leaves_no_answer(gateway: Gateway) -> None:
    made = gateway.say("hello", store=False).json
    assert Snapshot.objects.get().answer is None
    assert gateway.get(of(made)).status == 404


def test_a_deleted_response_is_unknown_and_what_was_built_on_it_goes_on(gateway: Gateway) -> None:
    first = gateway.say("one").json
    second = gateway.say("two", previous=first["id"]).json
    gone = delete(gateway, of(first))
    assert (gone.status, gone.json) == (200, {"id": first["id"], "object": "response", "deleted": True})
    replies = gateway.get(of(first)), gateway.get(of(first, "/input_items")), delete(gateway, of(first))
    assert [reply.status for reply in replies] == [404] * 3
    assert gateway.say("x", previous=first["id"]).error["code"] == "previous_response_not_found"
    assert '"one"' in text_of(gateway.say("three", previous=second["id"]).json)
    assert "one" in str(gateway.get(of(second, "/input_items")).json["data"])


def test_another_keys_response_is_answered_exactly_like_an_unknown_one(gateway: Gateway) -> None:
    from tests.fakes.factories import make_key

    made, other = gateway.say("hello").json, gateway.caller(make_key("other").secret)
    unknown = {"id": "resp_" + "0" * 48}

    def replies(response: Any) -> list[tuple[int, Any]]:
        every = [
            other.get(of(response)),
            other.get(of(response, "/input_items")),
            delete(other, of(response)),
            other.post({}, of(response, "/cancel")),
            other.get(of(response, "?stream=true")),
        ]
        return [(reply.status, reply.error) for reply in every]

    message = f"Response with id '{unknown['id']}' not found."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "not_found"}
    assert replies(unknown) == [(404, error)] * 5
    assert replies(made) == [(404, {**error, "message": message.replace(unknown["id"], made["id"])})] * 5
    assert gateway.get(of(made)).status == 200


@pytest.mark.parametrize("name", ["resp_%00", "x" * 2000, "%F0%9F%98%80", "..;", "resp_%0d%0aset-cookie:a=b"])
def test_an_id_that_is_none_is_unknown(gateway: Gateway, name: str) -> None:
    assert gateway.get(f"/v1/responses/{name}").status == 404
    assert gateway.get(f"/v1/responses/{name}/input_items").status == 404
    assert delete(gateway, f"/v1/responses/{name}").status == 404


# --- input items ---


def test_input_items_are_what_the_response_was_made_of_newest_first(gateway: Gateway) -> None:
    first = gateway.say("one").json
    second = gateway.say("two", previous=first["id"]).json
    listed = gateway.get(of(second, "/input_items")).json
    assert [item["type"] for item in listed["data"]] == ["message", "message", "reasoning", "message"]
    assert [item.get("role") for item in listed["data"]] == ["user", "assistant", None, "user"]
    assert listed["data"][0]["content"] == [{"type": "input_text", "text": "two"}]
    assert listed["data"][1:3] == first["output"][::-1]
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert (listed["first_id"], listed["last_id"]) == (listed["data"][0]["id"], listed["data"][-1]["id"])
    assert gateway.get(of(second, "/input_items")).json == listed
    oldest_first = gateway.get(of(second, "/input_items?order=asc")).json["data"]
    assert oldest_first == listed["data"][::-1]


def test_input_items_come_in_pages_that_meet(gateway: Gateway) -> None:
    same: list[Any] = [{"role": "user", "content": "same"}] * 5
    made = gateway.post(turn("", input=[*same, {"role": "user", "content": "last"}])).json
    ids = [item["id"] for item in gateway.get(of(made, "/input_items?order=asc")).json["data"]]
    assert len(set(ids)) == 6
    page = gateway.get(of(made, "/input_items?order=asc&limit=2")).json
    walked = list(page["data"])
    while page["has_more"]:
        page = gateway.get(of(made, f"/input_items?order=asc&limit=2&after={page['last_id']}")).json
        walked += page["data"]
    assert [item["id"] for item in walked] == ids
    back = gateway.get(of(made, f"/input_items?order=asc&limit=2&before={ids[4]}")).json
    assert ([item["id"] for item in back["data"]], back["has_more"]) == (ids[2:4], True)


def test_the_input_of_a_compaction_is_what_was_compacted(gateway: Gateway) -> None:
    first = gateway.say("one").json
    compacted = gateway.post(turn("", input=[{"type": "compaction_trigger"}], previous_response_id=first["id"])).json
    kinds = [item["type"] for item in gateway.get(of(compacted, "/input_items?order=asc")).json["data"]]
    assert kinds == ["message", "reasoning", "message", "compaction_trigger"]
    assert gateway.get(of(compacted)).json == compacted


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("limit=", "limit"), ("order=up", "order"),
        ("after=msg_unknown", "after"), ("before=x", "before"), ("include[]=secrets", "include"),
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_is_refused_by_name(gateway: Gateway, query: str, param: str) -> None:
    made = gateway.say("hello").json
    reply = gateway.get(of(made, f"/input_items?{query}"))
    assert (reply.status, reply.error["param"]) == (400, param)
    assert gateway.get(of(made, "/input_items?include[]=message.input_image.image_url&limit=1")).status == 200


# --- the rest ---


def test_a_response_in_the_foreground_is_neither_cancelled_nor_streamed_again(gateway: Gateway) -> None:
    made = gateway.say("hello").json
    reply = gateway.post({}, of(made, "/cancel"))
    assert (reply.status, reply.error["message"]) == (400, "Cannot cancel a synchronous response.")
    reply = gateway.get(of(made, "?stream=true"))
    assert (reply.status, reply.error["param"]) == (400, "stream")


def test_input_tokens_are_refused_rather_than_guessed(gateway: Gateway) -> None:
    reply = gateway.post(turn("hello"), "/v1/responses/input_tokens")
    assert (reply.status, reply.error["code"]) == (400, "input_tokens_not_supported")


def test_a_model_is_found_by_its_name(gateway: Gateway) -> None:
    listed = gateway.get("/v1/models").json["data"]
    assert gateway.get(f"/v1/models/{listed[0]['id']}").json == listed[0]
    unknown = gateway.get("/v1/models/gpt-none/at-all")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")

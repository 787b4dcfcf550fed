"""The first call: a key, a credential, a question, an answer; whole and streamed."""

from __future__ import annotations

import pytest

from tests.conftest import Gateway
from tests.fakes.caller import text_of, turn
from tests.fakes.upstream import FakeUpstream

PUBLIC_KEYS = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
]


def test_a_question_is_answered_with_one_whole_response(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.say("What is a gateway?")
    assert reply.status == 200, reply.body
    response = reply.json
    assert set(response) >= set(PUBLIC_KEYS)
    assert response["status"] == "completed"
    assert response["model"] == "gpt-5.5"
    assert "What is a gateway?" in text_of(response)
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 0
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert len(upstream.turns) == 1


def test_the_upstream_is_asked_to_stream_and_not_to_store_whatever_the_caller_says(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    assert gateway.say("hello", store=True, stream=False).status == 200
    assert (upstream.bodies[0]["stream"], upstream.bodies[0]["store"]) == (True, False)
    assert isinstance(upstream.bodies[0]["input"], list)


def test_a_streamed_answer_has_every_public_event_and_no_other(gateway: Gateway, upstream: FakeUpstream) -> None:
    with gateway.stream(turn("hello")) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = list(stream.events())
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert all(kind.startswith("response.") and kind != "response.metadata" for kind in kinds)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_every_lifecycle_event_is_a_whole_public_response_under_our_own_id(gateway: Gateway) -> None:
    with gateway.stream(turn("hello", metadata={"a": "b"}, temperature=0.5)) as stream:
        whole = [event["response"] for event in stream.events() if "response" in event]
    assert len(whole) == 3
    assert len({response["id"] for response in whole}) == 1
    assert whole[0]["id"].startswith("resp_")
    assert "simulated" not in whole[0]["id"]
    for response in whole:
        assert set(response) >= set(PUBLIC_KEYS)
        assert (response["metadata"], response["temperature"], response["store"]) == ({"a": "b"}, 0.5, True)


def test_the_completed_response_holds_the_output_that_the_upstream_left_out(gateway: Gateway) -> None:
    with gateway.stream(turn("hello")) as stream:
        events = list(stream.events())
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    output = events[-1]["response"]["output"]
    assert [item["id"] for item in output] == [item["id"] for item in done]
    for item in output:
        assert item["type"] == "reasoning" or item["status"] == "completed"


def test_deltas_make_up_the_text(gateway: Gateway) -> None:
    with gateway.stream(turn("hello")) as stream:
        events = list(stream.events())
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert deltas == text_of(events[-1]["response"]) != ""


def test_nothing_of_the_backends_own_shows_in_a_response(gateway: Gateway) -> None:
    response = gateway.say("hello").json
    assert response["instructions"] is None
    assert response["safety_identifier"] is None
    assert response["store"] is True


def test_what_the_backend_refuses_is_left_out_and_the_caller_told(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.say("hello", temperature=0.2, max_output_tokens=100, user="u", metadata={"k": "v"}, top_p=0.9)
    assert reply.status == 200, reply.body
    told = set(reply.headers["x-floway-dropped-parameters"].split(", "))
    assert told == {"temperature", "max_output_tokens", "user", "top_p"}
    assert not told & set(upstream.bodies[0])
    assert (reply.json["temperature"], reply.json["metadata"]) == (0.2, {"k": "v"})
    noted = {change["field"] for change in gateway.exchange().changes if change["kind"] == "dropped"}
    assert told <= noted


def test_a_strict_key_gets_400_for_what_the_backend_refuses(gateway: Gateway, upstream: FakeUpstream) -> None:
    from tests.fakes.factories import make_key

    reply = gateway.caller(make_key("strict", strict=True).secret).say("hello", temperature=0.2)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, "temperature", "unsupported_parameter")
    assert upstream.turns == []


def test_a_system_message_goes_out_as_a_developer_message(gateway: Gateway, upstream: FakeUpstream) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    assert gateway.post(turn("", input=messages)).status == 200
    roles = [item["role"] for item in upstream.bodies[0]["input"]]
    assert roles == ["developer", "user"]


def test_instructions_go_out_as_the_first_developer_message(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.say("hello", instructions="Be brief.")
    body = upstream.bodies[0]
    assert "instructions" not in body
    assert body["input"][0]["role"] == "developer"
    assert "Be brief." in str(body["input"][0]["content"])
    assert reply.json["instructions"] == "Be brief."


def test_the_exchange_row_says_what_happened(gateway: Gateway) -> None:
    reply = gateway.say("hello")
    row = gateway.exchange()
    assert row.request_id == reply.headers["x-request-id"]
    assert (row.status, row.ended_by, row.http_status) == ("completed", "upstream", 200)
    assert (row.model, row.streamed, row.stored, row.dispatches) == ("gpt-5.5", False, True, 1)
    assert row.response_id == reply.json["id"]
    assert row.credential == gateway.credential
    usage = reply.json["usage"]
    assert (row.input_tokens, row.output_tokens) == (usage["input_tokens"], usage["output_tokens"])
    assert row.first_byte_ms is not None
    assert row.total_ms is not None
    assert {entry["name"] for entry in row.identity} >= {"session", "thread", "window", "turn", "installation"}
    assert all(entry["source"] for entry in row.identity)


def test_the_key_notes_its_last_use(gateway: Gateway) -> None:
    assert gateway.issued is not None
    gateway.say("hello")
    gateway.exchange()
    gateway.issued.key.refresh_from_db()
    assert gateway.issued.key.last_used_at is not None


def test_quota_is_kept_as_it_was_last_told(gateway: Gateway) -> None:
    assert gateway.credential is not None
    gateway.say("hello")
    gateway.exchange()
    told = {(reading.window, reading.used_percent, reading.minutes) for reading in gateway.credential.quota.all()}
    assert told == {("primary", 12.0, 300), ("secondary", 34.0, 10080)}


@pytest.mark.parametrize("scheme", ["bearer", "x-api-key"])
def test_a_key_is_accepted_in_either_header(gateway: Gateway, scheme: str) -> None:
    caller = gateway.caller("")
    header = {"authorization": f"bearer {gateway.key}"} if scheme == "bearer" else {"x_api_key": gateway.key}
    assert caller.post(turn("hello"), **header).status == 200


def test_x_api_key_wins_over_a_login_that_a_client_puts_into_authorization(gateway: Gateway, upstream: FakeUpstream) -> None:
    caller = gateway.caller("")
    reply = caller.post(turn("hello"), authorization="Bearer eyJ.canary-of-a-client.sig", x_api_key=gateway.key)
    assert reply.status == 200
    assert not any("canary" in value for _, value in upstream.turns[0].headers)

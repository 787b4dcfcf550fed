"""What the gateway refuses, and in which words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import Gateway
from tests.fakes.caller import Caller, turn
from tests.fakes.door import Door
from tests.fakes.upstream import FakeUpstream

OFFICIAL = {
    "originator": "codex_exec",
    "user_agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)",
}


@pytest.mark.parametrize("key", ["", "fw_unknown", "fw_" + "x" * 5000, "nonsense é"])
def test_no_or_an_unknown_key_is_401(gateway: Gateway, upstream: FakeUpstream, key: str) -> None:
    reply = gateway.caller(key).send(
        "POST",
        "/v1/responses",
        json.dumps(turn("hello")).encode(),
        {"authorization": f"Bearer {key}".encode("latin-1")},  # type: ignore[dict-item] # bytes are headers too
    )
    assert (reply.status, reply.error["code"], reply.error["type"]) == (401, "invalid_api_key", "authentication_error")
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "key" not in reply.headers.get("set-cookie", "")
    assert upstream.requests == []


def test_disabled_expired_and_rotated_keys_answer_like_unknown_ones(gateway: Gateway) -> None:
    from accounts import keys
    from tests.fakes.factories import make_key

    disabled, expired, rotated = make_key("disabled"), make_key("expired"), make_key("rotated")
    type(disabled.key).objects.filter(pk=disabled.key.pk).update(enabled=False)
    type(expired.key).objects.filter(pk=expired.key.pk).update(expires_at=datetime(2001, 1, 1, tzinfo=UTC))
    renewed = keys.rotate(rotated.key)
    replies = [gateway.caller(secret).say("hi") for secret in ("fw_unknown", disabled.secret, expired.secret, rotated.secret)]
    assert {(reply.status, reply.body) for reply in replies} == {(401, replies[0].body)}
    assert gateway.caller(renewed).say("hi").status == 200


def test_a_key_in_the_url_is_no_key(gateway: Gateway) -> None:
    reply = gateway.caller("").post(turn("hello"), f"/v1/responses?key={gateway.key}&api_key={gateway.key}", authorization="")
    assert reply.status == 401


def test_an_unknown_model_is_404(gateway: Gateway) -> None:
    reply = gateway.say("hello", model="gpt-nonsense")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert "gpt-nonsense" in reply.error["message"]
    row = gateway.exchange()
    assert (row.status, row.http_status, row.error_code) == ("refused", 404, "model_not_found")


@pytest.mark.parametrize("model", [None, 5, "", [], {"a": 1}])
def test_a_model_that_is_no_name_is_400(gateway: Gateway, model: Any) -> None:
    reply = gateway.post({"model": model, "input": "hello"})
    assert (reply.status, reply.error["param"]) == (400, "model")


def test_an_unknown_previous_response_is_refused_in_the_exact_words(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.say("hello", previous="resp_unknown")
    assert reply.status == 400
    assert reply.json == {
        "error": {
            "message": "Previous response with id 'resp_unknown' not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        }
    }
    assert upstream.requests == []


def test_another_keys_response_answers_exactly_like_an_unknown_one(gateway: Gateway) -> None:
    from tests.fakes.factories import make_key

    theirs = gateway.say("secret").json["id"]
    reply = gateway.caller(make_key("other").secret).say("hello", previous=theirs)
    assert reply.status == 400
    assert reply.error["message"] == f"Previous response with id '{theirs}' not found."
    assert reply.error["code"] == "previous_response_not_found"


@pytest.mark.parametrize("previous", [5, [], {"id": 1}, True, "x\u0001y", "r" * 100_000])
def test_a_previous_response_that_is_no_id_is_400(gateway: Gateway, previous: Any) -> None:
    reply = gateway.post(turn("hello", previous_response_id=previous))
    assert (reply.status, reply.error["param"]) == (400, "previous_response_id")


@pytest.mark.parametrize("input_", [5, True, {"a": 1}, [5], [["x"]], [None], [{"type": 5}]])
def test_an_input_that_is_no_input_is_400(gateway: Gateway, input_: Any) -> None:
    reply = gateway.post({"model": "gpt-5.5", "input": input_})
    assert reply.status == 400, reply.body
    assert reply.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("POST", "/v1", 404), ("POST", "/v1/responses/", 404), ("PUT", "/v1/responses", 405)],
)
def test_unknown_urls_and_methods_are_told_in_the_envelope(gateway: Gateway, method: str, path: str, status: int) -> None:
    reply = gateway.send(method, path, None, gateway.headers({}))
    assert reply.status == status
    assert reply.error["type"] == "invalid_request_error"
    assert reply.headers["x-request-id"].startswith("req_")


def test_without_any_usable_login_the_caller_is_told_to_come_back(door: Door, upstream: FakeUpstream) -> None:
    from tests.fakes.factories import make_key

    reply = Caller(door.url, make_key().secret).say("hello")
    assert (reply.status, reply.error["code"]) == (503, "server_is_overloaded")
    assert int(reply.headers["retry-after"]) > 0
    assert upstream.requests == []


@pytest.mark.parametrize("streamed", [True, False])
def test_a_refusal_has_a_status_also_when_a_stream_was_asked_for(gateway: Gateway, streamed: bool) -> None:
    reply = gateway.say("hello", model="gpt-nonsense", stream=streamed)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"


def test_permanent_faults_are_400_for_the_official_client_which_retries_the_rest(gateway: Gateway) -> None:
    unknown_key = gateway.caller("fw_unknown").post(turn("hello"), **OFFICIAL)
    unknown_model = gateway.post(turn("hello", model="gpt-nonsense"), **OFFICIAL)
    unknown_url = gateway.post(turn("hello"), "/v1/nothing", **OFFICIAL)
    assert [reply.status for reply in (unknown_key, unknown_model, unknown_url)] == [400, 400, 400]
    assert unknown_key.error["code"] == "invalid_api_key"


@pytest.mark.parametrize("streamed", [True, False])
def test_every_answer_forbids_caching_and_names_its_request(gateway: Gateway, streamed: bool) -> None:
    replies = [
        gateway.say("hello", stream=streamed),
        gateway.say("hello", model="gpt-nonsense", stream=streamed),
        gateway.caller("fw_unknown").say("hello", stream=streamed),
        gateway.get("/v1/models"),
        gateway.get("/v1/nothing"),
    ]
    for reply in replies:
        assert reply.headers["cache-control"] == "private, no-store"
        assert "authorization" in reply.headers["vary"].lower()
    assert len({reply.headers["x-request-id"] for reply in replies}) == len(replies)


def test_a_request_id_of_the_callers_is_not_ours(gateway: Gateway) -> None:
    reply = gateway.post(turn("hello"), x_request_id="chosen-by-the-caller")
    assert reply.headers["x-request-id"] != "chosen-by-the-caller"

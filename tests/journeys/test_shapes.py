"""Odd but legal requests: what of them is mended, left out or refused on the way to the upstream."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.upstream import FakeUpstream

USER = {"type": "message", "role": "user", "content": "hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "4"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Adding."}]}


def ask(gateway: Gateway, **over: Any) -> Any:
    return gateway.post({"model": "gpt-5.5", "input": [USER], **over})


def turn_ids(upstream: FakeUpstream) -> list[str]:
    return [body["client_metadata"]["turn_id"] for body in upstream.bodies]


def test_a_system_message_goes_out_as_a_developers(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert ask(gateway, input=[{"role": "system", "content": "Be brief."}, USER]).status == 200
    assert [item["role"] for item in upstream.bodies[0]["input"]] == ["developer", "user"]


def test_item_ids_of_another_make_and_plain_reasoning_are_left_out(gateway: Gateway, upstream: FakeUpstream) -> None:
    plain = {"type": "reasoning", "id": "rs_1", "summary": []}
    reply = ask(gateway, input=[{**USER, "id": "item-1"}, plain, {**USER, "id": None}, {**USER, "id": "msg_kept"}])
    assert reply.status == 200, reply.body
    assert [item.get("id") for item in upstream.bodies[0]["input"]] == [None, None, "msg_kept"]
    assert {change["field"] for change in gateway.exchange().changes} == {"input.id", "input.reasoning"}


def test_turn_metadata_that_is_no_object_is_dropped_whole(gateway: Gateway, upstream: FakeUpstream) -> None:
    for text in ("not JSON", "[1]"):
        assert ask(gateway, client_metadata={"x-codex-turn-metadata": text, "own": "kept"}).status == 200
    for body in upstream.bodies:
        assert body["client_metadata"]["own"] == "kept"
        assert json.loads(body["client_metadata"]["x-codex-turn-metadata"])["request_kind"] == "turn"


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"include": "reasoning.encrypted_content"}, "include"),
        ({"client_metadata": {"x-codex-turn-metadata": json.dumps({"own": "x" * 20_000})}}, "x-codex-turn-metadata"),
    ],
)
def test_what_cannot_be_expressed_is_400_and_named(gateway: Gateway, over: Any, param: str) -> None:
    reply = ask(gateway, **over)
    assert (reply.status, reply.error["param"]) == (400, param)


def test_a_user_agent_without_a_version_is_no_official_clients(gateway: Gateway, upstream: FakeUpstream) -> None:
    headers = {"originator": "codex_exec", "user-agent": "codex_exec (somewhere)"}
    assert gateway.post({"model": "gpt-5.5", "input": [USER]}, **headers).status == 200
    assert "somewhere" not in (upstream.turns[0].header("user-agent") or "")


def test_a_tools_answer_within_a_history_sent_anew_belongs_to_the_users_turn(gateway: Gateway, upstream: FakeUpstream) -> None:
    history: list[Any] = [USER]
    for new in ([], [SAID, CALL, OUTPUT], [USER], [CALL, OUTPUT, {"role": "developer", "content": "Mind."}, OUTPUT]):
        history += new
        assert ask(gateway, input=history, store=False).status == 200
    first, follow_up, next_turn, interrupted = turn_ids(upstream)
    assert first == follow_up
    assert len({first, next_turn, interrupted}) == 3


def test_an_input_of_nothing_is_a_conversation_of_its_own(gateway: Gateway, upstream: FakeUpstream) -> None:
    for _ in range(2):
        ask(gateway, input="", instructions="Begin.")
    assert len({request.header("session-id") for request in upstream.turns}) == len(upstream.turns)


@pytest.mark.parametrize(("code", "words"), [(429, "Please try again in 1.5s."), (503, "Try again in 2 minutes.")])
def test_when_to_come_back_is_read_from_words(gateway: Gateway, upstream: FakeUpstream, code: int, words: str) -> None:
    error = {"message": words, "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    upstream.script(faults.status(code, {"error": error}))
    assert ask(gateway).headers["retry-after"] == {429: "2", 503: "120"}[code]


def test_when_to_come_back_is_read_from_a_date(gateway: Gateway, upstream: FakeUpstream) -> None:
    long_ago = format_datetime(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=1), usegmt=True)
    error = {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    upstream.script(faults.status(429, {"error": error}, ("retry-after", long_ago)))
    assert ask(gateway).headers["retry-after"] == "1"


def test_a_plain_callers_lite_request_passes_as_lite(gateway: Gateway, upstream: FakeUpstream) -> None:
    tools = {"type": "additional_tools", "role": "developer", "tools": []}
    lite = {"x-openai-internal-codex-responses-lite": "true"}
    for items in ([tools, USER], [USER]):
        body = {"model": "gpt-6.1-sol", "instructions": "Be brief.", "input": items}
        assert gateway.post(body, **lite).status == 200
    flags = [request.header("x-openai-internal-codex-responses-lite") for request in upstream.turns]
    assert flags == ["true", None], "a claim that the body does not bear out"
    kinds = [item.get("role") and item["type"] for item in upstream.bodies[0]["input"]]
    assert kinds == ["additional_tools", "message", "message"], "the tools stay in front of the instructions"


def test_allowances_of_every_name_are_noted(gateway: Gateway, upstream: FakeUpstream) -> None:
    from accounts.models import QuotaReading

    told = (
        ("x-codex-spark-primary-used-percent", "12.5"),
        ("x-codex-spark-limit-name", "Spark"),
        ("x-codex-spark-primary-reset-after-seconds", "60"),
        ("x-codex-primary-used-percent", "many"),
        ("x-codex-credits-has-credits", "false"),
    )
    upstream.script(faults.status(400, {"detail": [{"msg": "Not like this."}]}, *told))
    assert "Not like this." in ask(gateway).error["message"]
    gateway.exchange()
    readings = {(row.limit, row.window): row.used_percent for row in QuotaReading.objects.all()}
    assert readings == {("Spark", "primary"): 12.5, ("credits", "balance"): 100.0}


def test_a_challenge_of_the_edge_is_told_apart_from_the_services_word(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.status(429, {"error": {"message": "x", "code": "y"}}, ("cf-mitigated", "challenge")))
    assert ask(gateway).status >= 500
    assert gateway.credential is not None
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == gateway.credential.State.EDGE_BLOCKED

"""What becomes of a caller's body, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from floway.providers.codex.protocol.ordering import in_order
from floway.providers.contract import Action, ChangeKind, ProviderRefused
from floway.wire.headers import Headers
from tests.providers.factories import OFFICIAL, make_body, make_provider, send, user

REFUSED = {
    "max_output_tokens": 5, "temperature": 0.5, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "user": "u",
    "safety_identifier": "s", "prompt_cache_retention": "24h", "prompt_cache_options": {},
    "truncation": "auto", "stream_options": {"include_obfuscation": False},
}  # fmt: skip
GATEWAYS_OWN = {"background": True, "conversation": {"id": "conv_a"}, "metadata": {"a": "b"}}


@pytest.mark.parametrize("field", REFUSED)
def test_what_the_backend_refuses_is_left_out_and_said(field: str) -> None:
    sent = send(make_body(**{field: REFUSED[field]}))
    assert field not in sent.body
    assert sent.dropped == {field: True}


@pytest.mark.parametrize("field", GATEWAYS_OWN)
def test_what_the_gateway_sees_to_itself_goes_no_further_and_costs_the_caller_nothing(field: str) -> None:
    sent = send(make_body(**{field: GATEWAYS_OWN[field]}))
    assert field not in sent.body
    assert sent.dropped == {field: False}


@pytest.mark.parametrize("field", REFUSED)
def test_a_null_is_as_good_as_nothing(field: str) -> None:
    sent = send(make_body(**{field: None}))
    assert field not in sent.body
    assert sent.prepared.changes == ()


def test_what_is_not_known_to_be_refused_passes() -> None:
    sent = send(make_body(max_tool_calls=3, novelty={"a": 1}))
    assert (sent.body["max_tool_calls"], sent.body["novelty"]) == (3, {"a": 1})


def test_store_and_stream_are_what_the_backend_takes_and_nobody_is_refused_for_it() -> None:
    sent = send(make_body(store=True, stream=False, previous_response_id="resp_1"))
    assert (sent.body["store"], sent.body["stream"]) == (False, True)
    assert "previous_response_id" not in sent.body
    assert [change.field for change in sent.prepared.changes] == ["previous_response_id", "store", "stream"]
    assert not any(change.refusable for change in sent.prepared.changes)


def test_defaults_are_the_public_apis_and_the_callers_choice_stands() -> None:
    plain = send().body
    assert (plain["tool_choice"], plain["parallel_tool_calls"], plain["include"]) == (
        "auto",
        True,
        ["reasoning.encrypted_content"],
    )
    chosen = send(make_body(tool_choice="none", parallel_tool_calls=False, include=["web_search_call.results"])).body
    assert (chosen["tool_choice"], chosen["parallel_tool_calls"]) == ("none", False)
    assert chosen["include"] == ["web_search_call.results", "reasoning.encrypted_content"]


def test_a_string_is_a_users_message() -> None:
    content = [{"type": "input_text", "text": "hello"}]
    assert send(make_body(input="hello")).body["input"] == [{"type": "message", "role": "user", "content": content}]


def test_system_becomes_developer_and_everything_else_of_the_message_stays() -> None:
    sent = send(make_body(input=[{"role": "system", "content": "x", "extra": 1}, user()]))
    assert sent.body["input"] == [{"role": "developer", "content": "x", "extra": 1}, user()]
    assert [(change.kind, change.field) for change in sent.prepared.changes] == [(ChangeKind.REWRITTEN, "input.role")]


def test_reasoning_that_the_backend_cannot_know_is_left_out_whole() -> None:
    good = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ENC"}
    sent = send(
        make_body(input=[user(), {"type": "reasoning", "id": "rs_2", "summary": []}, {**good, "encrypted_content": ""}, good])
    )
    assert sent.body["input"] == [user(), good]
    assert sent.dropped == {"input.reasoning": False}


@pytest.mark.parametrize(
    ("kind", "item_id", "kept"),
    [
        ("message", "msg_1", True), ("message", "item_1", False), ("message", "msg_" + "x" * 61, False),
        ("reasoning", "rs_1", True), ("reasoning", "item_1", False), ("function_call", "fc_1", True),
        ("function_call", "call_1", False), ("function_call_output", "fco_1", True), ("custom_tool_call", "ctc_1", True),
        ("compaction", "cmp_1", True), ("novel_call", "anything", True), ("novel_call", "x" * 65, False),
        ("message", 5, False), ("item_reference", "rs_" + "x" * 80, True),
    ],
)  # fmt: skip
def test_an_item_id_of_a_foreign_shape_is_removed(kind: str, item_id: Any, kept: bool) -> None:
    item = {"type": kind, "id": item_id, "encrypted_content": "ENC", "status": "completed"}
    sent = send(make_body(input=[item]))
    assert ("id" in sent.body["input"][0]) is kept
    assert sent.body["input"][0]["status"] == "completed"
    assert sent.dropped == ({} if kept else {"input.id": False})


def test_instructions_stand_behind_the_tools_of_a_lite_request() -> None:
    tools = {"type": "additional_tools", "role": "developer", "tools": []}
    sent = send(make_body(instructions="Be brief.", input=[tools, user()]))
    assert [item.get("role") for item in sent.body["input"]] == ["developer", "developer", "user"]
    assert sent.body["input"][1]["content"][0]["text"] == "Be brief."
    assert "instructions" not in sent.body


def test_the_older_profile_keeps_instructions_at_the_top() -> None:
    older = make_provider("0.142.0")
    assert send(make_body(instructions="Be brief."), provider=older).body["instructions"] == "Be brief."
    assert send(provider=older).body["instructions"] == ""


@pytest.mark.parametrize(
    "field", [{"instructions": ["x"]}, {"include": "x"}, {"model": "gpt\r\nx: y"}, {"model": 5}, {"service_tier": "a b"}]
)
def test_a_value_that_cannot_be_sent_is_refused_by_name(field: dict[str, Any]) -> None:
    with pytest.raises(ProviderRefused) as refused:
        send(make_body(**field))
    assert refused.value.param == next(iter(field))


def test_the_routing_hint_names_model_and_tier() -> None:
    assert send().headers["x-codex-routing-hint"] == "model=gpt-5.5"
    tiered = send(make_body(service_tier="priority"))
    assert tiered.headers["x-codex-routing-hint"] == "model=gpt-5.5;tier=priority"
    assert list(tiered.body)[:4] == ["model", "stream", "service_tier", "input"]


def test_a_compaction_is_asked_for_at_the_end_of_the_input() -> None:
    sent = send(make_body(reasoning={"effort": "low"}), action=Action.COMPACT)
    assert sent.body["input"] == [user(), {"type": "compaction_trigger"}]
    assert sent.metadata["request_kind"] == "compaction"
    assert sent.metadata["compaction"] == {
        "trigger": "manual", "reason": "user_requested", "implementation": "responses_compaction_v2",
        "phase": "standalone_turn", "strategy": "memento",
    }  # fmt: skip
    assert not {"model", "reasoning_effort"} & set(sent.metadata)


def test_a_trigger_in_an_ordinary_request_is_a_compaction_too() -> None:
    sent = send(make_body(input=[user(), {"type": "compaction_trigger"}]))
    assert sent.body["input"][-1] == {"type": "compaction_trigger"}
    assert (sent.metadata["request_kind"], sent.metadata["compaction"]["trigger"]) == ("compaction", "manual")
    assert sent.prepared.changes == ()


def test_an_ordinary_turn_says_what_is_true_of_it() -> None:
    sent = send(make_body(reasoning={"effort": "high"}))
    assert (sent.metadata["request_kind"], sent.metadata["thread_source"]) == ("turn", "user")
    assert (sent.metadata["model"], sent.metadata["reasoning_effort"]) == ("gpt-5.5", "high")
    assert list(sent.metadata)[-3:] == ["turn_started_at_unix_ms", "model", "reasoning_effort"]


def test_a_new_key_stays_behind_the_known_one_that_it_followed() -> None:
    assert list(in_order({"n1": 0, "c": 0, "n2": 0, "a": 0, "n3": 0}, ("a", "b", "c"))) == ["n1", "a", "n3", "c", "n2"]


# --- who speaks ---


def test_a_plain_caller_is_spoken_for_with_the_hosts_system_and_no_terminal() -> None:
    sent = send(headers={"user-agent": "OpenAI/Python 3.54.0", "originator": "mine", "x-codex-beta-features": "everything"})
    agent = sent.headers["user-agent"]
    assert agent.startswith("codex_exec/0.169.0 (")
    assert agent.endswith(") unknown (codex_exec; 0.169.0)")
    assert (sent.headers["originator"], sent.headers["version"]) == ("codex_exec", "0.169.0")
    assert sent.headers["x-codex-beta-features"] == "remote_compaction_v2"


def test_an_official_client_stays_as_old_as_it_is() -> None:
    agent = "codex-tui/0.150.2 (Ubuntu 24.4.0; aarch64) kitty (codex-tui; 0.150.2)"
    sent = send(headers={"originator": "codex-tui", "user-agent": agent, "x-codex-beta-features": "a_b,c"})
    assert (sent.headers["user-agent"], sent.headers["originator"], sent.headers["version"]) == (agent, "codex-tui", "0.150.2")
    assert sent.headers["x-codex-beta-features"] == "a_b,c"
    assert "x-codex-routing-hint" not in sent.headers


def test_a_subagent_of_an_official_client_says_whose_it_is() -> None:
    lines = [*OFFICIAL, ("x-codex-parent-thread-id", "parent"), ("x-openai-subagent", "review"), ("session-id", "root")]
    sent = send(headers=lines)
    assert (sent.headers["x-codex-parent-thread-id"], sent.headers["x-openai-subagent"]) == ("parent", "review")
    assert sent.client_metadata["x-codex-parent-thread-id"] == sent.metadata["parent_thread_id"] == "parent"
    plain = send(headers=lines[3:])
    assert not {"x-codex-parent-thread-id", "x-openai-subagent"} & set(plain.headers)


@pytest.mark.parametrize(
    ("headers", "items", "lite"),
    [
        (OFFICIAL, [], True),
        ((), [], False),
        ((), [{"type": "additional_tools", "tools": []}], True),
    ],
)
def test_a_lite_request_passes_as_lite(headers: Any, items: list[Any], lite: bool) -> None:
    name = "x-openai-internal-codex-responses-lite"
    sent = send(make_body(input=[*items, user()]), [*headers, (name, "true")])
    assert (sent.headers.get(name) == "true") is lite
    assert name not in send(make_body(input=[*items, user()]), [*headers, (name, "false")]).headers


@pytest.mark.parametrize(
    ("originator", "agent", "recognised"),
    [
        ("codex_exec", "codex_exec/0.169.0 (Debian 12.0.0; x86_64) x", True),
        ("codex_exec", "codex_exec/0.169.0", True),
        ("codex_vscode", "codex_vscode/0.170.0-alpha.1 (Mac OS 15.1.0; arm64) vscode/1.99", True),
        ("codex_exec", "codex-tui/0.169.0 (x)", False),
        ("codex_exec", "codex_exec/0.169 (x)", False),
        ("codex_exec", "codex_exec/0.169.0evil", False),
        ("codex_exec", "codex_exec/0.169.0 é", False),
        ("codex_exec", None, False),
        ("mine", "mine/0.169.0 (x)", False),
        (None, "codex_exec/0.169.0 (x)", False),
    ],
)
def test_an_official_client_is_known_by_originator_and_agent_together(
    originator: str | None, agent: str | None, recognised: bool
) -> None:
    lines = [(name, value) for name, value in (("originator", originator), ("user-agent", agent)) if value is not None]
    assert make_provider().recognises(Headers.of(lines)) is recognised


def test_a_compaction_that_its_caller_describes_stays_described_so() -> None:
    told = {"request_kind": "compaction", "compaction": {"trigger": "auto"}}
    body = make_body(input=[user(), {"type": "compaction_trigger"}])
    assert send(body, {"x-codex-turn-metadata": json.dumps(told)}).metadata["compaction"] == {"trigger": "auto"}
    plain = send(body, {"x-codex-turn-metadata": json.dumps({"request_kind": "turn", "model": "gpt-5.5"})}).metadata
    assert (plain["request_kind"], plain["compaction"]["trigger"]) == ("compaction", "manual")
    assert "model" not in plain

"""What the official client sends through the gateway leaves it in the shape of what that client sends the backend."""

from __future__ import annotations

import json
from typing import Any

import pytest

from floway.providers.codex import oauth
from floway.providers.codex.protocol.ids import instructions_item_id
from floway.providers.codex.protocol.profiles import PROFILES
from floway.wire.json import dumps
from tests.providers.factories import GOLDEN, capture, captured_lines, make_provider, replay, send

TWINS: dict[str, str] = json.loads((GOLDEN / "twins.json").read_text())
GATEWAY = sorted(path.stem for path in GOLDEN.glob("*v1_responses_200.json"))
OFFICIAL = sorted(path.stem for path in GOLDEN.glob("*POST_backend_api_codex_responses_200.json"))
NEVER_ADDED = {"guardian_credits_requested", "mcp_attribution"}
OF_THE_CALL = {
    "x-codex-window-id", "x-codex-turn-metadata", "x-client-request-id", "session-id", "thread-id", "authorization",
    "content-length",
}  # fmt: skip


def item_shape(item: dict[str, Any]) -> tuple[Any, ...]:
    return (
        item.get("type"),
        item.get("role"),
        tuple(key for key in item if key != "internal_chat_message_metadata_passthrough"),
    )


@pytest.mark.parametrize("name", TWINS)
def test_a_gateway_request_leaves_with_its_twins_headers_in_its_twins_order(name: str) -> None:
    expected = captured_lines(capture(TWINS[name]))
    expected.insert(-1, ("host", "chatgpt.com"))  # framing: the capture is HTTP/2, which calls it :authority
    sent = replay(name)
    assert sent.names == [header for header, _ in expected]
    assert {k: v for k, v in sent.headers.items() if k not in OF_THE_CALL} == {
        k: v for k, v in expected if k not in OF_THE_CALL
    }


@pytest.mark.parametrize("name", TWINS)
def test_a_gateway_request_leaves_with_its_twins_body_shape(name: str) -> None:
    sent, twin = replay(name).body, capture(TWINS[name])["body"]
    assert list(sent) == list(twin)
    assert set(sent["client_metadata"]) - NEVER_ADDED == set(twin["client_metadata"]) - NEVER_ADDED
    constant = ("stream", "tool_choice", "parallel_tool_calls", "store", "include", "reasoning", "text")
    assert {key: sent[key] for key in constant} == {key: twin[key] for key in constant}
    length = len(twin["input"])
    assert list(map(item_shape, sent["input"][:length])) == list(map(item_shape, twin["input"]))


@pytest.mark.parametrize("name", TWINS)
def test_a_gateway_request_leaves_with_its_twins_turn_metadata_keys(name: str) -> None:
    twin = dict(captured_lines(capture(TWINS[name])))["x-codex-turn-metadata"]
    assert list(replay(name).metadata) == list(json.loads(twin))


@pytest.mark.parametrize("name", GATEWAY)
@pytest.mark.parametrize("configured", PROFILES)
def test_the_official_clients_identity_and_content_pass_unchanged(name: str, configured: str) -> None:
    came, sent = capture(name), replay(name, configured)
    assert sent.body == came["body"]
    assert list(sent.body) == list(came["body"])
    stated = dict(captured_lines(came))
    for header in (
        "x-codex-window-id",
        "x-codex-turn-metadata",
        "x-client-request-id",
        "session-id",
        "thread-id",
        "user-agent",
    ):
        assert sent.headers[header] == stated[header]
    assert sent.prepared.changes == ()


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_request_replayed_is_the_same_request(name: str) -> None:
    came, sent = capture(name), replay(name)
    expected = [header for header in captured_lines(came) if header[0] != "x-codex-turn-state"]
    assert [header for header in sent.names if header != "host"] == [header for header, _ in expected]
    assert sent.body == came["body"]
    assert list(sent.body) == list(came["body"])
    assert sent.headers["x-codex-turn-metadata"] == dict(expected)["x-codex-turn-metadata"]
    assert sent.headers.get("x-codex-routing-hint") == dict(expected).get("x-codex-routing-hint")


@pytest.mark.parametrize("version", PROFILES)
def test_a_plain_caller_is_spoken_for_in_the_profiles_shape(version: str) -> None:
    twin = {"0.169.0": "official_http_nonlite_gpt55__0015", "0.142.0": "old0142_http__0014"}[version]
    came = capture(f"{twin}__POST_backend_api_codex_responses_200")
    sent = send({**came["body"], "client_metadata": None, "prompt_cache_key": "k"}, provider=make_provider(version))
    expected = [header for header, _ in captured_lines(came)]
    expected.insert(-1, "host")
    assert sent.names == expected
    assert list(sent.body) == list(came["body"])
    assert sent.headers["version"] == version
    order = PROFILES[version].metadata_order
    assert list(sent.metadata) == [key for key in order if key in sent.metadata]
    whole = set(json.loads(dict(captured_lines(came))["x-codex-turn-metadata"]))
    about_the_machine = {
        "agent_name", "context_window_id", "history_initialization", "turn_trigger", "sandbox", "sandbox_mode", "workspaces",
        "auto_review_enabled", "node_repl_auto_review_required", "node_repl_disabled", "analytics_enabled",
    }  # fmt: skip
    assert set(sent.metadata) == whole - about_the_machine


@pytest.mark.parametrize(
    ("name", "reason", "version"),
    [
        ("official_refresh_after_401__0013__POST_oauth_token_200", "unauthorized_recovery", "0.169.0"),
        ("official_refresh_proactive__0001__POST_oauth_token_200", "proactive_expiry", "0.169.0"),
        ("old0142_refresh__0001__POST_oauth_token_200", None, "0.142.0"),
    ],
)
def test_a_refresh_says_what_the_official_client_says(name: str, reason: str | None, version: str) -> None:
    came = capture(name)
    body = oauth.refresh_body("rt_fake_0", reason)
    assert list(body.items()) == list(came["body"].items())
    assert str(len(dumps(body))) == dict(captured_lines(came))["content-length"]
    expected = [header for header, _ in captured_lines(came)]
    expected.insert(-1, "host")
    assert list(PROFILES[version].refresh_headers) == expected


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("official_http_fallback_toolcall_resume__0003__GET_backend_api_codex_models_200", "0.169.0"),
        ("old0142_ws__0005__GET_backend_api_codex_models_200", "0.142.0"),
    ],
)
def test_the_catalogue_is_asked_for_with_the_official_clients_headers(name: str, version: str) -> None:
    expected = [header for header, _ in captured_lines(capture(name))]
    assert list(PROFILES[version].models_headers) == [*expected, "cookie", "host"]


def test_base_instructions_get_the_id_that_the_official_client_gives_them() -> None:
    thread = "01a2063e-1523-76f1-81eb-71db3c59b420"
    sent = send({"model": "gpt-5.5", "instructions": "Be brief.", "input": []}, {"session-id": thread})
    first = sent.body["input"][0]
    assert first["id"] == instructions_item_id(thread, "Be brief.") == "msg_15bf656a-fe8e-5e53-9e88-a3d2f050c7ca"
    assert (first["role"], first["content"]) == ("developer", [{"type": "input_text", "text": "Be brief."}])

"""The URLs at which the official client looks for its service: the same doors, and a few documents that tell nothing."""

from __future__ import annotations

import pytest

from tests.conftest import Gateway
from tests.fakes import socket
from tests.fakes.caller import text_of, turn
from tests.fakes.upstream import FakeUpstream

BASE = "/backend-api/codex"


def test_a_turn_by_any_road_is_the_same_turn(gateway: Gateway, upstream: FakeUpstream) -> None:
    first = gateway.post(turn("My name is Ada."), f"{BASE}/responses").json
    assert "My name is Ada." in text_of(gateway.say("What is my name?", previous=first["id"]).json)
    with socket.opened(gateway, f"{BASE}/responses") as caller:
        assert "My name is Ada." in text_of(caller.ask("And now?", previous=first["id"]))
    compacted = gateway.post(turn("and on", previous=first["id"]), f"{BASE}/responses/compact").json
    assert compacted["object"] == "response.compaction"


def test_models_come_in_the_shape_that_is_asked_for(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.get(f"{BASE}/models?client_version=0.169.0")
    assert {"gpt-5.5"} <= {model["slug"] for model in reply.json["models"]}
    assert reply.headers["etag"]


def test_the_account_is_the_one_that_the_client_names_and_has_no_limits(gateway: Gateway, upstream: FakeUpstream) -> None:
    told = gateway.get("/backend-api/wham/accounts/check", chatgpt_account_id="my-account").json
    (account,) = told["accounts"]
    assert (account["id"], told["default_account_id"]) == ("my-account", "my-account")
    assert (account["workspace_backend_origin"], account["account_routing_override"]) == ("NO_CONSTRAINT", "NO_CONSTRAINT")
    usage = gateway.get("/backend-api/wham/usage").json
    assert usage["rate_limit"] == {"allowed": True, "limit_reached": False, "primary_window": None, "secondary_window": None}
    assert upstream.requests == []


@pytest.mark.parametrize("path", [f"{BASE}/models", "/backend-api/wham/accounts/check", "/backend-api/wham/usage"])
def test_nothing_of_it_is_told_without_a_key(gateway: Gateway, upstream: FakeUpstream, path: str) -> None:
    assert gateway.caller("fw_unknown").get(path).status == 401

"""What a failure looks like to a plain SDK, to an official client, and to either over a WebSocket.

An official client gives up at once on 400 and on a 429 that names no time; it tries anything else of 4xx six times and a 5xx
thirty times, at the pace of `retry-after`. So it is told 400 for what cannot pass, 429 for what has its time, and 424 for
what may pass.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from accounts.models import OAuthCredential
from responses_app.pipeline import Turn
from tests.conftest import Gateway
from tests.fakes import faults, socket
from tests.fakes.caller import turn
from tests.fakes.factories import make_credential
from tests.fakes.upstream import FakeUpstream, Fault

CLI = {
    "originator": "codex_exec",
    "user_agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)",
}


def refusal(status: int, code: str | None, message: str = "No.", **more: Any) -> Callable[[], Fault]:
    return lambda: faults.status(status, {"error": {"message": message, "type": None, "param": None, "code": code, **more}})


@dataclass(frozen=True)
class Case:
    """A failure and what becomes of it.

    :param plain, official: statuses. :param code: of the envelope. :param again: `retry-after` is said.
    """

    fault: Callable[[], Fault] | None
    plain: int
    official: int
    code: str
    again: bool = False
    body: Any = None


UPSTREAM = {
    "500": Case(refusal(500, None), 503, 424, "upstream_error", again=True),
    "502 with a page": Case(lambda: faults.edge_page(502), 503, 424, "upstream_error", again=True),
    "503 overloaded": Case(refusal(503, "server_is_overloaded"), 503, 424, "server_is_overloaded", again=True),
    "503 slow down": Case(refusal(503, "slow_down"), 503, 424, "slow_down", again=True),
    "400": Case(refusal(400, "invalid_value"), 400, 400, "invalid_value"),
    "404 of the model": Case(refusal(404, "model_not_found"), 404, 400, "model_not_found"),
    "413": Case(refusal(413, None), 413, 400, "request_too_large"),
    "context length": Case(refusal(400, "context_length_exceeded"), 400, 400, "context_length_exceeded"),
    "403": Case(refusal(403, "forbidden"), 403, 400, "forbidden"),
    "403 of the edge": Case(faults.edge_page, 502, 400, "upstream_edge_blocked"),
    "login gone": Case(faults.token_invalidated, 503, 424, "server_is_overloaded", again=True),
    "429 with a time": Case(lambda: faults.rate_limited(7), 429, 429, "rate_limit_exceeded", again=True),
    "429 without": Case(refusal(429, "rate_limit_exceeded"), 429, 429, "rate_limit_exceeded", again=True),
    "usage limit": Case(
        lambda: faults.usage_limit_reached(int(time.time()) + 900), 429, 429, "usage_limit_reached", again=True
    ),
    "not included": Case(refusal(429, "usage_not_included"), 429, 429, "usage_not_included"),
}
OWN = {
    "unknown model": Case(None, 404, 400, "model_not_found", body=turn("x", model="gpt-nonsense")),
    "no model": Case(None, 400, 400, "missing_required_parameter", body={"input": "x"}),
    "unknown previous": Case(None, 400, 400, "previous_response_not_found", body=turn("x", previous="resp_unknown")),
}
CASES = {**UPSTREAM, **OWN}


def told_by_post(gateway: Gateway, case: Case, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
    reply = gateway.post({**(case.body or turn("x")), "stream": True}, **headers)
    return reply.status, reply.error, reply.headers


def told_by_socket(gateway: Gateway, case: Case, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
    with socket.opened(gateway, **headers) as caller:
        caller.say({"type": "response.create", **(case.body or turn("x"))})
        (event,) = caller.turn()
    return event["status"], event["error"], event["headers"]


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_told_so_that_a_retry_helps_or_none_is_made(gateway: Gateway, upstream: FakeUpstream, name: str) -> None:
    case = CASES[name]
    for told, headers in itertools.product((told_by_post, told_by_socket), ({}, CLI)):
        if case.fault is not None:
            upstream.script(case.fault())
        status, error, said = told(gateway, case, headers)
        assert (status, error["code"]) == (case.official if headers else case.plain, case.code)
        assert ("retry-after" in said) == case.again
        assert said.get("x-should-retry") == (None if case.again else "false")
        OAuthCredential.objects.all().delete()
        make_credential()


@pytest.mark.parametrize(("headers", "status"), [({}, 500), (CLI, 424)], ids=["plain", "official"])
def test_a_fault_of_the_gateways_own_is_told_like_one_upstream(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int
) -> None:
    def broken(_: Turn) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(Turn, "open", broken)
    for told in (told_by_post, told_by_socket):
        found, error, _ = told(gateway, CASES["500"], headers)
        assert (found, error["code"]) == (status, "internal_error")
        assert "canary" not in error["message"]

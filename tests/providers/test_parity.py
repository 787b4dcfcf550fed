"""The comparison itself: it finds what is missing, extra, different or out of order, and excuses only what is meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from floway.providers.codex import parity
from floway.providers.codex.intended import INTENDED, Verdict
from floway.providers.codex.parity import Capture, NotACapture, shape
from tests.providers.factories import NOW, capture, make_account, make_provider, seeded

GATEWAY = "gateway_env_key_gpt55_two_turns__0002__POST_v1_responses_200"
TWIN = "official_http_nonlite_gpt55__0015__POST_backend_api_codex_responses_200"
LITE = "official_http_fallback_toolcall_resume__0017__POST_backend_api_codex_responses_200"
OTHER_SESSION = "01a2063f-a656-7a81-9d23-6f5dfedef2ff"


def captured(name: str) -> Capture:
    return parity.read_capture(name, capture(name))


def replayed(came: Capture) -> Capture:
    return parity.replay(make_provider(), came, make_account(), NOW, seeded("replay"))


def unexplained(came: Capture, expected: Capture, sent: Capture) -> dict[str, Verdict]:
    return {found.field: found.verdict for found in parity.compare(came, expected, sent) if found.unexplained}


def with_header(sent: Capture, name: str, value: str) -> Capture:
    return replace(sent, headers=tuple((n, value if n == name else v) for n, v in sent.headers))


def with_body(sent: Capture, **over: Any) -> Capture:
    return replace(sent, body={**sent.body, **over})


def turned(sent: Capture) -> Capture:
    head, second, *rest = sent.headers
    return replace(sent, headers=(second, head, *rest))


def edited_metadata(sent: Capture, old: str, new: str) -> Capture:
    return with_header(sent, "x-codex-turn-metadata", dict(sent.headers)["x-codex-turn-metadata"].replace(old, new))


TAMPERINGS: dict[str, tuple[Callable[[Capture], Capture], dict[str, Verdict]]] = {
    "nothing": (lambda sent: sent, {}),
    "another originator": (lambda s: with_header(s, "originator", "else"), {"header originator": Verdict.DIFFERENT}),
    "a session that is no UUIDv7": (
        lambda s: with_header(s, "session-id", "9f1c7e52-3d3c-4f0e-8d5a-6a2b1c0d9e8f"),
        {"header session-id": Verdict.DIFFERENT},
    ),
    "a header too many": (
        lambda s: replace(s, headers=(*s.headers, ("x-more", "1"))),
        {"header x-more": Verdict.EXTRA},
    ),
    "a header too few": (lambda s: replace(s, headers=s.headers[1:]), {"header version": Verdict.MISSING}),
    "headers out of order": (turned, {"order of headers": Verdict.DIFFERENT}),
    "keys out of order": (
        lambda s: replace(s, body={**{k: v for k, v in s.body.items() if k != "model"}, "model": s.body["model"]}),
        {"order of body": Verdict.DIFFERENT},
    ),
    "a key too many": (lambda s: with_body(s, user="u"), {"body user": Verdict.EXTRA}),
    "tools left out": (
        lambda s: replace(s, body={k: v for k, v in s.body.items() if k != "tools"}),
        {"body tools": Verdict.MISSING, "content tools": Verdict.MISSING},
    ),
    "an item changed": (
        lambda s: with_body(s, input=[*s.body["input"][:-1], {**s.body["input"][-1], "content": "else"}]),
        {"input message/user content": Verdict.DIFFERENT, "content input 3": Verdict.DIFFERENT},
    ),
    "an item left out": (
        lambda s: with_body(s, input=s.body["input"][:-1]),
        {"order of input": Verdict.DIFFERENT, "content input 3": Verdict.MISSING},
    ),
    "a key of the machine left out though it came": (
        lambda s: edited_metadata(s, '"sandbox":"seccomp",', ""),
        {"turn_metadata sandbox": Verdict.MISSING, "turn_metadata in header and body": Verdict.DIFFERENT},
    ),
    "a window of another shape": (
        lambda s: with_header(s, "x-codex-window-id", OTHER_SESSION),
        {"header x-codex-window-id": Verdict.DIFFERENT},
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_difference_that_nobody_meant_is_found(what: str) -> None:
    tamper, expected = TAMPERINGS[what]
    came = captured(GATEWAY)
    assert unexplained(came, captured(TWIN), tamper(replayed(came))) == expected


def test_against_itself_values_are_compared_and_not_their_shapes() -> None:
    came = captured(TWIN)
    sent = with_header(replayed(came), "session-id", OTHER_SESSION)
    assert unexplained(came, came, sent) == {"header session-id": Verdict.DIFFERENT}
    assert unexplained(captured(GATEWAY), came, sent).keys() >= {"content input 3"}, "another run's prompt is not this one's"


def test_every_intended_difference_has_a_reason_of_its_own() -> None:
    reasons = [row.reason for row in INTENDED]
    assert all(reasons)
    assert len(set(reasons)) == len(reasons)


def test_a_plain_caller_lacks_only_what_is_never_invented() -> None:
    came = captured(TWIN)
    plain = Capture("plain", "/v1/responses", (), {k: v for k, v in came.body.items() if k != "client_metadata"})
    found = parity.compare(plain, came, replayed(plain))
    speaker = {"header user-agent"}  # the gateway's own machine and no terminal
    assert {finding.field for finding in found if finding.unexplained} <= speaker | {"body prompt_cache_key"}
    missing = {finding.field for finding in found if finding.verdict is Verdict.MISSING}
    assert {"turn_metadata sandbox", "turn_metadata workspaces", "turn_metadata context_window_id"} <= missing


def test_a_lite_requests_items_are_compared_too() -> None:
    came = captured(LITE)
    sent = replayed(came)
    assert unexplained(came, came, sent) == {}
    assert unexplained(came, came, with_body(sent, input=sent.body["input"][1:]))["content input 0"] is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "boolean"),
        (3, "number"),
        (1.5, "number"),
        ([], "list"),
        ({}, "object"),
        ("words", "text"),
        ('{"a":1}', "JSON"),
        ("Bearer x", "Bearer token"),
        (OTHER_SESSION, "UUIDv7"),
        (f"{OTHER_SESSION}:12", "UUIDv7:number"),
        (f"msg_{OTHER_SESSION}", "msg_UUIDv7"),
        (f"said {OTHER_SESSION}", "text"),
    ],
)
def test_values_of_another_run_have_a_shape(value: Any, expected: str) -> None:
    assert shape(value) == expected


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"method": "GET", "path": "/v1/responses", "headers": [], "body": {}},
        {"method": "POST", "path": "/oauth/token", "headers": [], "body": {}},
        {"method": "POST", "path": 7, "headers": [], "body": {}},
        {"method": "POST", "path": "/v1/responses", "headers": [], "body": "x"},
        {"method": "POST", "path": "/v1/responses", "headers": [["a"]], "body": {}},
        {"method": "POST", "path": "/v1/responses", "headers": [["a", 1]], "body": {}},
    ],
)
def test_what_is_no_capture_of_a_turn_is_not_replayed(document: Any) -> None:
    with pytest.raises(NotACapture):
        parity.read_capture("name", document)

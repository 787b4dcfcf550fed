"""What goes wrong upstream: what the caller sees, and what the exchange says."""

from __future__ import annotations

import dataclasses
import json
import select
import threading
import time
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from accounts import states
from floway.providers.codex.simulated.backend import frame
from floway.providers.codex.simulated.http import Exchange
from floway.transport import connecting
from tests.conftest import Gateway
from tests.fakes import faults
from tests.fakes.caller import text_of, turn
from tests.fakes.tokens import ALICE, LONG_FROM_NOW
from tests.fakes.upstream import FakeUpstream, Fault

TOMORROW = int(time.time()) + 24 * 3600


def test_a_stale_token_is_refreshed_once_and_the_turn_sent_again_as_it_was(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.unauthorized())
    assert gateway.say("hello").status == 200
    assert upstream.exchanges == [ALICE.refresh_token(0)]
    first, second = upstream.turns
    assert first.header("authorization") != second.header("authorization")
    assert [line for line in first.headers if line[0] != "authorization"] == [
        line for line in second.headers if line[0] not in {"authorization", "cookie"}
    ]
    assert first.json == second.json
    row = gateway.exchange()
    assert (row.status, row.dispatches) == ("completed", 2)


def test_a_token_refused_right_after_its_refresh_rests_the_login_and_condemns_nobody(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.script(faults.unauthorized(), faults.unauthorized())
    reply = gateway.say("hello")
    assert reply.status == 503
    assert len(upstream.exchanges) == 1
    assert gateway.credential is not None
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == "rate_limited"
    assert gateway.credential.state_reason


def test_an_invalidated_login_is_not_refreshed_and_says_why(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.token_invalidated())
    reply = gateway.say("hello")
    assert (reply.status, reply.error["code"]) == (503, "server_is_overloaded")
    assert upstream.exchanges == []
    assert gateway.credential is not None
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == "needs_sign_in"
    assert "token_invalidated" in gateway.credential.state_reason
    assert gateway.say("hello").status == 503
    assert len(upstream.turns) == 1


def test_a_spent_subscription_is_429_with_its_reset_and_not_retried(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.usage_limit_reached(TOMORROW))
    reply = gateway.say("hello", stream=True)
    assert reply.status == 429
    assert reply.error["type"] == "usage_limit_reached"
    assert reply.error["resets_at"] == TOMORROW
    assert int(reply.headers["retry-after"]) > 120, "an SDK would wait for less"
    assert len(upstream.turns) == 1
    gateway.exchange()
    assert gateway.credential is not None
    assert gateway.credential.quota.get(window="primary").used_percent == 100
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == "rate_limited"


def test_a_plain_rate_limit_is_429_with_the_seconds_to_wait(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.rate_limited(7))
    reply = gateway.say("hello")
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert "x-should-retry" not in reply.headers


def test_a_rate_limit_without_seconds_gets_some_because_clients_give_up_otherwise(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.script(faults.status(429, {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}))
    reply = gateway.say("hello")
    assert reply.status == 429
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize("code", [403, 503])
def test_a_page_of_the_edge_is_never_relayed_but_named(gateway: Gateway, upstream: FakeUpstream, code: int) -> None:
    upstream.script(faults.edge_page(code))
    reply = gateway.say("hello")
    assert reply.status >= 400
    assert reply.headers["content-type"] == "application/json"
    assert b"<" not in reply.body
    assert code != 403 or "8f00ba4711-FRA" in reply.error["message"]
    row = gateway.exchange()
    assert "8f00ba4711-FRA" in row.operator_note
    assert "<script" not in row.operator_note + row.error_message
    assert gateway.credential is not None
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == ("edge_blocked" if code == 403 else "active")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_fault_of_theirs_is_5xx_with_a_time_to_come_back(gateway: Gateway, upstream: FakeUpstream, status: int) -> None:
    upstream.script(faults.status(status, {"error": {"message": "Internal.", "type": "server_error", "code": None}}))
    reply = gateway.say("hello")
    assert reply.status in {502, 503}
    assert int(reply.headers["retry-after"]) > 0
    row = gateway.exchange()
    assert (row.status, row.ended_by) == ("failed", "upstream") or row.status == "failed"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"\xff", b'{"error": "text"}', b'{"error": {"message": {"a": 1}}}', b"{"]
)
def test_a_refusal_in_no_known_shape_still_ends_in_the_envelope(gateway: Gateway, upstream: FakeUpstream, body: bytes) -> None:
    upstream.script(lambda upstream, exchange, account: exchange.answer(400, body, [("content-type", "application/json")]))
    reply = gateway.say("hello")
    assert reply.status >= 400
    assert reply.error["message"]


def test_a_refusal_with_control_characters_is_told_without_them(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.status(400, {"error": {"message": "bad \x1b[31mred\x1b[0m\r\nx: y", "code": "x\ny", "type": "t"}}))
    reply = gateway.say("hello")
    assert reply.status == 400
    assert "\x1b" not in gateway.exchange().error_message


CUTS = {
    "cut between events": faults.cut_after(5),
    "cut inside a chunk": faults.cut_inside_a_chunk(5),
    "clean end without a terminal event": faults.ended_after(5),
    "cut before any event": faults.cut_after(0),
    "half a frame": faults.frames(b"event: response.created\n"),
    "no JSON": faults.frames(b"event: response.created\ndata: {nonsense\n\n"),
    "nothing": faults.frames(),
}


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_a_stream_never_ends_without_a_terminal_event(gateway: Gateway, upstream: FakeUpstream, fault: Fault) -> None:
    upstream.script(fault)
    with gateway.stream(turn("hello")) as stream:
        assert stream.status == 200
        events = list(stream.events())
    assert events[-1]["type"] == "response.failed"
    failed = events[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    row = gateway.exchange()
    assert (row.status, row.ended_by, row.error_code) == ("failed", "upstream_cut", "server_error")


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_a_whole_answer_that_broke_off_is_an_error_and_not_half_a_response(
    gateway: Gateway, upstream: FakeUpstream, fault: Fault
) -> None:
    upstream.script(fault)
    reply = gateway.say("hello")
    assert reply.status in {502, 503}
    assert reply.error["code"] == "server_error"
    assert int(reply.headers["retry-after"]) > 0


def test_silence_before_an_answer_ends_when_the_gateway_has_waited_long_enough(
    gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    from floway.providers import registry

    provider: Any = registry.get("codex")
    monkeypatch.setattr(provider, "_client", dataclasses.replace(provider._client, answer_timeout=0.2))
    parting = faults.Parting()
    upstream.script(faults.hang_before_the_head(parting))
    reply = gateway.say("hello")
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert parting.left.wait(10)


def test_silence_in_mid_stream_ends_with_a_failure_and_lets_the_upstream_go(
    gateway: Gateway, upstream: FakeUpstream, settings: Settings
) -> None:
    settings.FLOWAY_UPSTREAM_IDLE_SECONDS = 0.3
    settings.FLOWAY_KEEPALIVE_SECONDS = 0.1
    parting = faults.Parting()
    upstream.script(faults.hang_after(4, parting))
    with gateway.stream(turn("hello")) as stream:
        raw = b"".join(iter(stream.read, b""))
    assert b": keep-alive\n\n" in raw
    assert b'"type":"response.failed"' in raw
    assert parting.left.wait(10)
    assert gateway.exchange().ended_by == "idle"


def test_lasting_overload_inside_a_success_is_told_as_such(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(*[faults.overloaded()] * 3)
    with gateway.stream(turn("hello")) as stream:
        last = list(stream.events())[-1]
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_is_overloaded")
    upstream.script(*[faults.overloaded()] * 3)
    reply = gateway.say("hello")
    assert (reply.status, reply.error["code"]) == (503, "server_is_overloaded")
    assert gateway.exchange().status == "failed"


_ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "status": "in_progress"}
FAILED_AFTER_OUTPUT: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}},
    {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": _ITEM},
    {
        "type": "response.failed",
        "sequence_number": 2,
        "response": {"id": "r", "error": {"code": "server_is_overloaded", "message": "m"}},
    },
]


@pytest.mark.parametrize(
    ("trouble", "ended_by", "code"),
    [(OperationalError("locked"), "upstream", "server_is_overloaded"), (ValueError("odd"), "gateway", "internal_error")],
    ids=["busy database", "unforeseen"],
)
def test_a_failure_after_output_is_told_although_it_cannot_be_noted(
    gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, trouble: Exception, ended_by: str, code: str
) -> None:
    def fails(*arguments: object, **named: object) -> None:
        raise trouble

    monkeypatch.setattr(states, "failed", fails)
    upstream.script(faults.frames(*map(frame, FAILED_AFTER_OUTPUT)))
    with gateway.stream(turn("hello")) as stream:
        last = list(stream.events())[-1]
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_is_overloaded")
    row = gateway.exchange()
    assert (row.status, row.ended_by, row.error_code) == ("failed", ended_by, code)


def test_an_answer_that_does_not_say_what_it_is_is_read_all_the_same(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.without_content_type(), faults.without_content_type())
    assert "hello" in text_of(gateway.say("hello").json)
    with gateway.stream(turn("hello")) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert list(stream.events())[-1]["type"] == "response.completed"


def test_an_answer_cut_at_every_byte_is_the_same_answer(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.byte_by_byte())
    with gateway.stream(turn("hello")) as stream:
        pieces = list(iter(stream.read, b""))
    assert all(piece.endswith(b"\n\n") for piece in pieces), "a frame was written in parts"
    events = [json.loads(line[6:]) for line in b"".join(pieces).decode().split("\n") if line.startswith("data: ")]
    assert "hello" in text_of(events[-1]["response"])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"], ids=["crlf", "cr"])
def test_other_line_ends_are_understood(gateway: Gateway, upstream: FakeUpstream, newline: bytes) -> None:
    def answer(upstream: FakeUpstream, exchange: object, account_id: str) -> None:
        parts = [frame(event).replace(b"\n", newline) for event in upstream.events(exchange.request, account_id)]  # type: ignore[attr-defined] # an Exchange
        faults.frames(b"\xef\xbb\xbf", b": comment" + newline * 2, *parts)(upstream, exchange, account_id)

    upstream.script(answer)
    assert "hello" in text_of(gateway.say("hello").json)


def test_an_event_without_end_is_cut_off(gateway: Gateway, upstream: FakeUpstream) -> None:
    piece = b"x" * (1024 * 1024)
    upstream.script(faults.frames(b"data: ", *[piece] * 40))
    with gateway.stream(turn("hello")) as stream:
        assert list(stream.events())[-1]["type"] == "response.failed"


def test_an_answer_whose_end_comes_late_leaves_its_connection_to_the_next_turn(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    end, ports = threading.Event(), list[int]()

    def late(upstream: FakeUpstream, exchange: Exchange, account: str) -> None:
        ports.append(exchange._socket.getpeername()[1])
        exchange.begin(upstream.headers())
        for event in upstream.events(exchange.request, account):
            exchange.chunk(frame(event))
        end.wait(20)
        exchange.end()

    upstream.script(late, late)
    first = gateway.say("hello").json
    end.set()
    kept = [one.sock for held in connecting._sessions.values() for road in held._roads.values() for one in road._idle]
    (its,) = (sock for sock in kept if sock.getsockname()[1] == ports[0])
    assert select.select([its], [], [], 20)[0], "the end of the first answer"
    gateway.say("go on", previous=first["id"])
    assert ports[0] == ports[1]


def test_a_kept_connection_that_ends_unanswered_is_tried_once_more(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.in_one_write())
    gateway.say("leaves a connection behind")
    upstream.script(lambda upstream, exchange, account: exchange.cut())
    assert gateway.say("hello").status == 200
    assert upstream.turns[-1].body == upstream.turns[-2].body


def test_no_upstream_at_all_is_503(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(lambda upstream, exchange, account: exchange.cut(), lambda upstream, exchange, account: exchange.cut())
    reply = gateway.say("hello")
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0


def test_a_redirect_is_not_followed(gateway: Gateway, upstream: FakeUpstream) -> None:
    elsewhere = [("location", f"{upstream.url}/elsewhere")]
    upstream.script(lambda upstream, exchange, account: exchange.answer(302, b"", elsewhere))
    assert gateway.say("hello").status >= 500
    assert all(request.path != "/elsewhere" for request in upstream.requests)


@pytest.mark.parametrize(("code", "terminal"), [("refresh_token_reused", True), ("temporarily_unavailable", False)])
def test_a_refused_refresh_tells_the_operator_and_not_the_caller(
    gateway: Gateway, upstream: FakeUpstream, code: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = 401 if terminal else 500
    error = {"error": {"message": "no", "type": "x", "code": code}}
    monkeypatch.setattr(upstream, "_token", lambda exchange: exchange.answer_json(status, error))
    upstream.script(faults.unauthorized())
    reply = gateway.say("hello")
    assert reply.status == 503
    assert code not in reply.body.decode()
    assert gateway.credential is not None
    gateway.credential.refresh_from_db()
    assert gateway.credential.state == ("needs_sign_in" if terminal else "active")
    assert (code in gateway.credential.state_reason) is terminal


def test_the_login_goes_on_with_the_rotated_token(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.script(faults.unauthorized())
    gateway.say("one")
    upstream.script(faults.unauthorized())
    assert gateway.say("two").status == 200
    assert upstream.exchanges == [ALICE.refresh_token(0), ALICE.refresh_token(1)]


def test_a_login_about_to_run_out_is_refreshed_before_it_is_used(gateway: Gateway, upstream: FakeUpstream) -> None:
    from accounts.models import CredentialTokens
    from tests.fakes.tokens import LONG_AGO

    assert gateway.credential is not None
    from tests.fakes.factories import make_credential

    type(gateway.credential).objects.all().delete()
    stale = make_credential(expires_at=LONG_AGO)
    assert gateway.say("hello").status == 200
    assert len(upstream.exchanges) == 1
    tokens = CredentialTokens.objects.get(credential=stale)
    assert tokens.refreshed_at is not None
    assert tokens.lease_until is None
    assert upstream.turns[0].header("authorization") != f"Bearer {ALICE.access_token(LONG_FROM_NOW)}"


def test_many_callers_with_one_stale_login_share_one_refresh(gateway: Gateway, upstream: FakeUpstream) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tests.fakes.factories import make_credential
    from tests.fakes.tokens import LONG_AGO

    assert gateway.credential is not None
    type(gateway.credential).objects.all().delete()
    make_credential(expires_at=LONG_AGO)
    with ThreadPoolExecutor(8) as pool:
        statuses = [reply.status for reply in pool.map(gateway.say, [f"question {n}" for n in range(8)])]
    assert statuses == [200] * 8
    assert len(upstream.exchanges) == 1

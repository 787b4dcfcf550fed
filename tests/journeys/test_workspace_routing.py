"""Workspace routing: asked once for an account, kept, obeyed as far as the environment allows, and never further."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import CredentialFacts
from tests.conftest import Gateway
from tests.fakes.factories import make_credential
from tests.fakes.tokens import ALICE, BOB
from tests.fakes.upstream import FakeUpstream

CHECK = "/backend-api/wham/accounts/check"


def checks(upstream: FakeUpstream) -> int:
    return sum(request.path == CHECK for request in upstream.requests)


def aged(**by: float) -> None:
    CredentialFacts.objects.update(fetched_at=timezone.now() - timedelta(**by))


def test_it_is_asked_before_the_first_turn_and_then_kept(gateway: Gateway, upstream: FakeUpstream) -> None:
    for n in range(3):
        assert gateway.say(f"hello {n}").status == 200
    assert upstream.requests[0].path == CHECK
    assert checks(upstream) == 1
    aged(days=2)
    gateway.say("much later")
    assert checks(upstream) == 2


def test_it_is_asked_as_the_official_client_asks(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("hello")
    headers = dict(upstream.requests[0].headers)
    assert [name for name in headers if name != "host"] == ["user-agent", "authorization", "chatgpt-account-id", "accept"]
    assert headers["accept"] == "*/*"
    assert not headers["user-agent"].endswith(")")


@pytest.mark.parametrize("region", ["us", "us_cr"])
def test_an_override_is_stated_on_turns_right_after_the_version(gateway: Gateway, upstream: FakeUpstream, region: str) -> None:
    upstream.routing[ALICE.account_id] = {"account_routing_override": region}
    assert gateway.say("hello").status == 200
    names = [name for name, _ in upstream.turns[0].headers]
    assert names[names.index("version") + 1] == "x-openai-account-routing-override"
    assert upstream.turns[0].header("x-openai-account-routing-override") == region


def test_a_caller_cannot_state_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.post({"model": "gpt-5.5", "input": "hello"}, x_openai_account_routing_override="us")
    assert upstream.turns[0].header("x-openai-account-routing-override") is None


FORBIDDEN: dict[str, dict[str, Any]] = {
    "elsewhere": {"workspace_backend_origin": "https://evil.example"},
    "unencrypted": {"workspace_backend_origin": "http://chatgpt.com"},
    "a lookalike": {"workspace_backend_origin": "https://chatgpt.com.evil.example"},
    "another port": {"workspace_backend_origin": "https://chatgpt.com:8443"},
    "somebody's name in front": {"workspace_backend_origin": "https://chatgpt.com@evil.example"},
    "a path": {"workspace_backend_origin": "https://chatgpt.com/x"},
    "none": {"workspace_backend_origin": None},
    "no text": {"workspace_backend_origin": 7},
    "an unknown region": {"account_routing_override": "moon"},
    "another account's": {"id": "somebody-else"},
}


@pytest.mark.parametrize("said", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_may_not_be_obeyed_fails_closed_and_is_named(
    gateway: Gateway, upstream: FakeUpstream, said: dict[str, Any]
) -> None:
    upstream.routing[ALICE.account_id] = said
    reply = gateway.say("hello")
    assert reply.status == 503
    assert "evil" not in reply.body.decode()
    assert upstream.turns == []
    facts = CredentialFacts.objects.get()
    assert facts.problem.startswith("Workspace routing: ")
    row = gateway.exchange()
    assert row.operator_note == facts.problem
    assert gateway.say("again").status == 503
    assert checks(upstream) == 1, "an account that must not be used is not asked about all the time"


def test_the_origin_that_was_not_allowed_is_named_to_the_operator(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.routing[ALICE.account_id] = FORBIDDEN["elsewhere"]
    gateway.say("hello")
    assert "https://evil.example" in gateway.exchange().operator_note


def test_another_credential_serves_while_one_must_not_be_used(gateway: Gateway, upstream: FakeUpstream) -> None:
    make_credential(BOB)
    upstream.routing[ALICE.account_id] = FORBIDDEN["elsewhere"]
    assert gateway.say("hello").status == 200
    assert upstream.turns[0].header("chatgpt-account-id") == BOB.account_id


def test_it_is_asked_again_after_a_while_and_may_be_mended(gateway: Gateway, upstream: FakeUpstream) -> None:
    upstream.routing[ALICE.account_id] = FORBIDDEN["elsewhere"]
    gateway.say("hello")
    upstream.routing.clear()
    aged(minutes=6)
    assert gateway.say("hello").status == 200
    assert CredentialFacts.objects.get().problem == ""


def test_kept_facts_are_judged_again_when_they_are_used(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.say("hello")
    CredentialFacts.objects.update(document={"origin": "https://evil.example", "override": None})
    assert gateway.say("hello").status == 503
    assert len(upstream.turns) == 1


def test_a_stale_token_is_refreshed_for_it_too(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.credential is not None
    upstream.revoked.add(ALICE.access_token(4_102_444_800))
    assert gateway.say("hello").status == 200
    assert upstream.exchanges == [ALICE.refresh_token(0)]


def test_old_facts_serve_while_newer_ones_are_not_to_be_had(
    gateway: Gateway, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.say("hello")
    aged(days=2)
    monkeypatch.setattr(upstream, "_accounts", lambda exchange, account: exchange.answer_json(500, {}))
    assert gateway.say("hello").status == 200

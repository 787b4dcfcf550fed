"""Where a turn goes and what it says of its workspace: the official client's header, the environment's hosts."""

from __future__ import annotations

from typing import Any

import pytest

from floway.providers.codex.protocol import routing
from floway.providers.contract import AccountUnusable
from floway.wire.json import dumps
from tests.providers.factories import capture, captured_lines, make_account, make_provider, send

ALLOWED = (".chatgpt.com",)
ACCOUNT = "11111111-2222-4333-8444-555555555555"


def said(origin: Any = routing.UNCONSTRAINED, override: Any = routing.UNCONSTRAINED) -> dict[str, Any]:
    return {"id": ACCOUNT, "workspace_backend_origin": origin, "account_routing_override": override}


def read(accounts: Any) -> routing.Routing | None:
    return routing.read(dumps({"accounts": accounts}), ACCOUNT, ALLOWED)


def sent_to(facts: Any, base_url: str = "https://chatgpt.com/backend-api") -> str:
    provider = make_provider(base_url=base_url, allowed_origins=ALLOWED)
    return send(provider=provider, account=make_account(facts=facts)).prepared.request.url


def test_the_header_stands_where_the_official_client_has_it() -> None:
    taken = dict(captured_lines(capture("official_routing_override_us__0014__POST_backend_api_codex_responses_200")))
    sent = send(provider=make_provider(allowed_origins=ALLOWED), account=make_account(facts={"origin": None, "override": "us"}))
    header = "x-openai-account-routing-override"
    assert sent.headers[header] == taken[header] == "us"
    assert list(taken).index(header) == sent.names.index(header) == sent.names.index("version") + 1


def test_discovery_asks_with_the_official_clients_headers() -> None:
    from floway.providers.codex.client import _ACCOUNT_HEADERS

    taken = captured_lines(capture("official_routing_override_us__0001__GET_backend_api_wham_accounts_check_200"))
    assert [name for name in _ACCOUNT_HEADERS if name not in {"host", "cookie"}] == [name for name, _ in taken]


@pytest.mark.parametrize(
    "origin", ["https://chatgpt.com", "https://chatgpt.com/", "https://eu.chatgpt.com", "https://chatgpt.com:443"]
)
def test_an_allowed_origin_is_where_turns_go(origin: str) -> None:
    found = read([said(origin, "us")])
    assert found is not None
    url = sent_to(found.facts())
    assert url == f"{origin.removesuffix('/')}/backend-api/codex/responses"


def test_no_constraint_is_the_configured_address() -> None:
    assert read([said()]) == routing.Routing()
    assert sent_to({"origin": None, "override": None}) == sent_to(None) == "https://chatgpt.com/backend-api/codex/responses"


def test_a_loopback_stays_itself() -> None:
    assert sent_to({"origin": "https://eu.chatgpt.com", "override": None}, "http://127.0.0.1:9/b").startswith(
        "http://127.0.0.1:9/"
    )


def test_accounts_are_read_as_a_list_and_as_a_map() -> None:
    mapped = {"x": {"account": {**said(override="us_cr"), "account_id": ACCOUNT, "id": None}}}
    assert read(mapped) == routing.Routing(None, "us_cr")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"accounts": 7}', b"\xff"])
def test_what_is_no_answer_tells_nothing(body: bytes) -> None:
    assert routing.read(body, ACCOUNT, ALLOWED) is None


@pytest.mark.parametrize(
    "facts", [7, "x", [], {"origin": 7}, {"origin": None, "override": "moon"}, {"origin": "https://chatgpt.com#x"}]
)
def test_kept_facts_of_another_shape_are_not_trusted(facts: Any) -> None:
    with pytest.raises(AccountUnusable):
        routing.known(facts, ALLOWED)


def test_the_environment_decides_which_hosts_are_allowed() -> None:
    with pytest.raises(AccountUnusable, match=r"https://eu\.chatgpt\.com"):
        routing.known({"origin": "https://eu.chatgpt.com", "override": None}, ("chatgpt.com",))

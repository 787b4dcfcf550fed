"""Documents of the backend, read and written: the usage endpoint's answer, the catalogue, an account's routing, stand-ins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from floway.providers.codex.protocol import catalogue, quota, routing
from floway.providers.contract import AccountUnusable, Catalogue, Model, QuotaWindow
from floway.wire.headers import Headers
from floway.wire.json import dumps
from tests.providers.factories import NOW, make_provider

RESET = NOW.replace(microsecond=0) + timedelta(hours=1)


def window(used: Any, **over: Any) -> dict[str, Any]:
    return {"used_percent": used, "limit_window_seconds": 18_000, "reset_at": RESET.timestamp(), **over}


def test_every_allowance_of_the_usage_endpoint_is_read() -> None:
    told = {
        "rate_limit": {"primary_window": window(12.5), "secondary_window": window(3, reset_at=None, reset_after_seconds=60)},
        "code_review_rate_limit": {"primary_window": window(1, limit_window_seconds=None, reset_at="never")},
        "additional_rate_limits": [
            {"limit_name": "spark", "rate_limit": {"secondary_window": window(7)}},
            {"metered_feature": "images", "rate_limit": {"primary_window": window("garbage")}},
            {"rate_limit": {"primary_window": window(1)}},
            "none",
        ],
        "credits": {"has_credits": False, "unlimited": True},
    }
    assert quota.usage(dumps(told), NOW) == (
        QuotaWindow("codex", "primary", 12.5, 300, RESET),
        QuotaWindow("codex", "secondary", 3.0, 300, NOW + timedelta(seconds=60)),
        QuotaWindow("code_review", "primary", 1.0, None, None),
        QuotaWindow("spark", "secondary", 7.0, 300, RESET),
        QuotaWindow("credits", "balance", 0.0, None, None),
    )


def test_limits_that_are_none_are_no_allowances() -> None:
    assert quota.usage(dumps({"rate_limit": None, "additional_rate_limits": None, "credits": None}), NOW) == ()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_an_answer_of_another_kind_tells_nothing_of_usage(body: bytes) -> None:
    assert quota.usage(body, NOW) is None


@pytest.mark.parametrize(("value", "read"), [(True, None), (None, None), ("12", 12.0), (3, 3.0), ([], None)])
def test_a_number_is_written_or_real(value: object, read: float | None) -> None:
    assert quota.number(value) == read


def test_a_moment_far_off_is_no_reset() -> None:
    assert quota.moment((NOW + timedelta(days=500)).timestamp(), NOW) is None
    assert quota.moment(RESET.timestamp(), NOW) == datetime.fromtimestamp(RESET.timestamp(), UTC)


def test_a_narrowed_catalogue_lists_its_models_alone() -> None:
    body = {"models": [{"slug": "a", "x": 1}, {"slug": "b"}, "odd"], "more": True}
    whole = Catalogue((Model("a", 0, "openai"),), dialect_query="client_version", dialect_body=body)
    assert catalogue.narrowed(whole).dialect_body == {"models": [{"slug": "a", "x": 1}], "more": True}


@pytest.mark.parametrize("body", [None, [], {"models": "none"}])
def test_a_catalogue_without_a_body_of_the_dialect_stays_without(body: Any) -> None:
    narrowed = catalogue.narrowed(Catalogue((), dialect_query="client_version", dialect_body=body))
    assert (narrowed.dialect_body, narrowed.dialect_query) == (None, None)


def test_a_client_is_told_its_own_account_and_no_limits() -> None:
    provider = make_provider()
    told = provider.dialect_document("backend-api/wham/accounts/check", Headers((("chatgpt-account-id", "acc-1"),)))
    assert told["default_account_id"] == told["accounts"][0]["id"] == "acc-1"
    assert provider.dialect_document("backend-api/wham/accounts/check", Headers())["account_ordering"] == ["floway"]
    assert provider.dialect_document("backend-api/wham/usage", Headers())["rate_limit"]["limit_reached"] is False


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"accounts": 3}'])
def test_an_answer_of_another_kind_tells_nothing_of_routing(body: bytes) -> None:
    assert routing.read(body, "acc-1", ()) is None


@pytest.mark.parametrize("accounts", [[], ["odd"], {"x": {"account": "odd"}}, [{"id": "acc-2"}]])
def test_an_account_that_is_not_listed_cannot_be_used(accounts: Any) -> None:
    with pytest.raises(AccountUnusable, match="does not list"):
        routing.read(dumps({"accounts": accounts}), "acc-1", ())


def test_an_origin_that_is_none_cannot_be_used() -> None:
    entry = {"id": "acc-1", "workspace_backend_origin": "", "account_routing_override": routing.UNCONSTRAINED}
    with pytest.raises(AccountUnusable, match="no backend origin"):
        routing.read(dumps({"accounts": [entry]}), "acc-1", ())


def test_an_override_that_is_unknown_cannot_be_honoured() -> None:
    entry = {"id": "acc-1", "workspace_backend_origin": routing.UNCONSTRAINED, "account_routing_override": "mars"}
    with pytest.raises(AccountUnusable, match="'mars'"):
        routing.read(dumps({"accounts": [entry]}), "acc-1", ())


def test_an_origin_that_cannot_be_parsed_is_not_allowed() -> None:
    with pytest.raises(AccountUnusable, match="no https origin"):
        routing.check(routing.Routing("https://[", None), (".chatgpt.com",))

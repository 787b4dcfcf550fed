"""`GET /v1/models`: one catalogue, two shapes."""

from __future__ import annotations

from tests.conftest import Gateway
from tests.fakes.upstream import FakeUpstream


def asked(upstream: FakeUpstream) -> int:
    return sum(request.path == "/backend-api/codex/models" for request in upstream.requests)


def test_sdks_get_the_public_list(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.get("/v1/models")
    assert reply.status == 200, reply.body
    assert reply.json["object"] == "list"
    assert {model["id"] for model in reply.json["data"]} == {"gpt-5.5", "gpt-6.1-sol", "gpt-5.6-luna"}
    assert all(set(model) == {"id", "object", "created", "owned_by"} for model in reply.json["data"])


def test_official_clients_get_the_upstreams_catalogue_with_its_etag(gateway: Gateway, upstream: FakeUpstream) -> None:
    reply = gateway.get("/v1/models?client_version=0.169.0")
    assert [model["slug"] for model in reply.json["models"]] == ["gpt-5.5", "gpt-6.1-sol", "gpt-5.6-luna"]
    assert all(model["base_instructions"] and model["truncation_policy"] for model in reply.json["models"])
    assert reply.headers["etag"] == '"simulated-1"'


def test_the_catalogue_is_asked_for_as_the_official_client_does(gateway: Gateway, upstream: FakeUpstream) -> None:
    gateway.get("/v1/models")
    request = upstream.requests[0]
    assert request.target == "/backend-api/codex/models?client_version=0.169.0"
    names = [name.lower() for name, _ in request.headers if name.lower() not in {"host", "content-length"}]
    assert names == ["version", "authorization", "chatgpt-account-id", "originator", "user-agent", "accept"]


def test_the_catalogue_is_fetched_once_and_kept(gateway: Gateway, upstream: FakeUpstream) -> None:
    for _ in range(3):
        assert gateway.get("/v1/models").status == 200
    assert asked(upstream) == 1


def test_the_catalogue_needs_a_key(gateway: Gateway, upstream: FakeUpstream) -> None:
    assert gateway.caller("fw_unknown").get("/v1/models").status == 401
    assert asked(upstream) == 0

"""What reaches a socket: the requests of the provider against a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import zstandard

from floway.providers.codex.provider import CodexProvider
from floway.providers.contract import Action, FailureKind, RefreshRefused, UpstreamRefused, UpstreamRequest, UpstreamUnreachable
from tests.providers.factories import NOW, make_account, make_provider, send


class Server:
    """Answers everything with `answer`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, list[tuple[str, str]], bytes]] = []
        self.ports: list[int] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        kept = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                kept.ports.append(self.client_address[1])
                length = int(self.headers.get("content-length", 0))
                kept.requests.append((f"{self.command} {self.path}", list(self.headers.items()), self.rfile.read(length)))
                status, headers, body = kept.answer
                self.send_response_only(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def provider(server: Server, request: pytest.FixtureRequest) -> CodexProvider:
    # A slug of its own gives every test connections and cookies of its own.
    return make_provider(base_url=f"{server.url}/backend-api", auth_url=server.url, slug=request.node.name)


def names(lines: list[tuple[str, str]]) -> list[str]:
    return [name for name, _ in lines]


def test_a_responses_request_reaches_the_socket_as_prepared_and_nothing_is_added(
    server: Server, provider: CodexProvider
) -> None:
    prepared = send(provider=provider).prepared.request
    response = provider.stream(prepared, make_account())
    assert response.read_all(100, 5) == b"{}"
    response.close()
    [(line, headers, body)] = server.requests
    assert line == "POST /backend-api/codex/responses"
    assert [(name.lower(), value) for name, value in headers] == list(prepared.headers)
    assert json.loads(zstandard.ZstdDecompressor().decompress(body))["stream"] is True


def test_cookies_of_a_credential_are_replayed_in_their_place_and_to_no_other(server: Server, provider: CodexProvider) -> None:
    prepared = send(provider=provider).prepared.request
    server.answer = (200, {"set-cookie": "__cf_bm=abc; path=/"}, b"")
    for account in (make_account(), make_account(), make_account(credential_id=8)):
        response = provider.stream(prepared, account)
        response.read_all(1, 5)
        response.close()
    first, second, other = (headers for _, headers, _ in server.requests)
    assert "cookie" not in names(first) + names(other)
    assert names(second)[-4:] == ["user-agent", "cookie", "host", "content-length"]
    assert dict(second)["cookie"] == "__cf_bm=abc"


def test_a_refresh_says_whether_the_token_was_refused_or_runs_out(server: Server, provider: CodexProvider) -> None:
    server.answer = (200, {}, json.dumps({"access_token": "fresh", "refresh_token": "rt_1"}).encode())
    assert (
        provider.refresh(make_account(access_expires_at=NOW + timedelta(hours=1)), "rt_0", refused=True).access_token == "fresh"
    )
    provider.refresh(make_account(access_expires_at=NOW + timedelta(minutes=1)), "rt_0")
    provider.refresh(make_account(access_expires_at=None), "rt_0")
    bodies = [json.loads(body) for _, _, body in server.requests]
    assert [body["refresh_reason"] for body in bodies] == ["unauthorized_recovery", "proactive_expiry", "proactive_expiry"]
    line, headers, _ = server.requests[0]
    assert line == "POST /oauth/token"
    assert names(headers) == ["content-type", "originator", "user-agent", "accept", "host", "content-length"]
    assert dict(headers)["user-agent"].endswith(") unknown")


def test_a_token_is_never_sent_on_a_connection_that_may_have_ended(server: Server, provider: CodexProvider) -> None:
    server.answer = (200, {}, b'{"access_token": "fresh"}')
    for token in ("rt_0", "rt_1"):
        provider.refresh(make_account(), token)
        provider._client.ask_authority("/oauth/token", "application/json", b"{}", None)
    assert len(set(server.ports)) == 4


def test_an_older_client_gives_no_reason_for_a_refresh(server: Server) -> None:
    server.answer = (200, {}, b'{"access_token": "fresh"}')
    make_provider("0.142.0", auth_url=server.url).refresh(make_account(), "rt_0")
    assert "refresh_reason" not in json.loads(server.requests[0][2])


def test_a_refused_refresh_is_told_apart_from_silence(server: Server, provider: CodexProvider) -> None:
    server.answer = (401, {}, json.dumps({"error": {"code": "refresh_token_reused", "message": "Used."}}).encode())
    with pytest.raises(RefreshRefused) as refused:
        provider.refresh(make_account(), "rt_0")
    assert refused.value.terminal
    server.close()
    with pytest.raises(UpstreamUnreachable):
        provider.refresh(make_account(credential_id=9), "rt_0")


def test_the_catalogue_is_listed_and_kept_whole(server: Server, provider: CodexProvider) -> None:
    body = {"models": [{"slug": "gpt-5.5", "x": 1}, {"slug": "gpt-6.1-sol"}, {"no": "slug"}, {"slug": "gpt-5.5"}, 7]}
    server.answer = (200, {"etag": 'W/"1"'}, json.dumps(body).encode())
    catalogue = provider.models(make_account())
    assert [(model.id, model.created, model.owned_by) for model in catalogue.models] == [
        ("gpt-5.5", 0, "openai"), ("gpt-6.1-sol", 0, "openai"),
    ]  # fmt: skip
    assert (catalogue.dialect_query, catalogue.dialect_body, catalogue.etag) == ("client_version", body, 'W/"1"')
    [(line, headers, _)] = server.requests
    assert line == "GET /backend-api/codex/models?client_version=0.169.0"
    assert names(headers) == ["version", "authorization", "chatgpt-account-id", "originator", "user-agent", "accept", "host"]


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"object": "list", "data": []}', b""])
def test_what_is_no_catalogue_is_no_answer(server: Server, provider: CodexProvider, body: bytes) -> None:
    server.answer = (200, {}, body)
    with pytest.raises(UpstreamUnreachable):
        provider.models(make_account())


def test_a_refused_catalogue_says_whose_fault_it_is(server: Server, provider: CodexProvider) -> None:
    server.answer = (401, {}, b'{"error": {"code": "token_invalidated"}}')
    with pytest.raises(UpstreamRefused) as refused:
        provider.models(make_account())
    assert refused.value.failure.kind is FailureKind.NEEDS_SIGN_IN


def test_nothing_secret_stands_in_a_request_or_account_shown() -> None:
    account = make_account(access_token="eyJ.canary.token")
    sent = send(account=account, action=Action.GENERATE)
    shown = repr(sent.prepared) + repr(account) + repr(UpstreamRequest("GET", "u", (("a", "canary"),), b"canary"))
    assert "canary" not in shown
    assert sent.headers["authorization"] == "Bearer eyJ.canary.token"


def test_an_unknown_profile_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match=r"0\.142\.0, 0\.169\.0"):
        make_provider("1.0.0")

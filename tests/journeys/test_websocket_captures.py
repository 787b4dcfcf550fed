"""The official client's captured socket, played again: its turn leaves as the POST that it sends to its own backend."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest

from floway.providers.codex import parity
from floway.providers.codex.parity import Capture
from tests.conftest import Gateway
from tests.fakes import socket
from tests.fakes.upstream import FakeUpstream
from tests.providers.factories import capture

SOCKET = "gateway_supports_websockets__000"
TWIN = "official_http_fallback_toolcall_resume__0017__POST_backend_api_codex_responses_200"
OF_THE_SOCKET = {"connection", "upgrade", "openai-beta", "host"}
FRAME_LITE = "ws_request_header_x_openai_internal_codex_responses_lite"


def handshake(name: str) -> dict[str, str]:
    """The captured header lines, but for what belongs to one connection."""
    lines = {
        header.lower(): value for header, value in capture(name)["headers"] if header.lower() not in {"host", "authorization"}
    }
    return {**lines, "sec-websocket-key": base64.b64encode(os.urandom(16)).decode()}


def as_a_post(headers: dict[str, str], message: dict[str, Any]) -> Capture:
    """What the same client would have sent as a POST: what stands in the message for want of headers is one there."""
    metadata = dict(message["client_metadata"])
    lines = {name: value for name, value in headers.items() if name not in OF_THE_SOCKET and not name.startswith("sec-")}
    lines["x-codex-turn-metadata"] = metadata["x-codex-turn-metadata"]
    if metadata.pop(FRAME_LITE, None):
        lines["x-openai-internal-codex-responses-lite"] = "true"
    metadata.pop("x-codex-ws-stream-request-start-ms")
    body = {key: value for key, value in message.items() if key not in {"type", "previous_response_id"}}
    return Capture("as a POST", "/v1/responses", tuple(lines.items()), {**body, "client_metadata": metadata})


def test_a_captured_socket_leaves_in_the_shape_of_the_backends_own_client(gateway: Gateway, upstream: FakeUpstream) -> None:
    headers = handshake(f"{SOCKET}1__WS_HANDSHAKE_v1_responses")
    prewarm = capture(f"{SOCKET}3__WS_MSG_response_create")["body"]
    message = capture(f"{SOCKET}5__WS_MSG_response_create")["body"]
    with socket.opened(gateway, **headers) as caller:
        caller.say(prewarm)
        warmed = caller.result()
        assert (warmed["status"], upstream.turns) == ("completed", [])
        caller.say({**message, "previous_response_id": warmed["id"]})
        assert caller.result()["status"] == "completed"
    (request,) = upstream.turns
    reached = Capture("reached", request.path, tuple((name.lower(), value) for name, value in request.headers), request.json)
    twin = parity.read_capture(TWIN, capture(TWIN))
    findings = parity.compare(as_a_post(headers, message), twin, reached)
    assert len(findings) > 40
    assert [finding for finding in findings if finding.unexplained] == []


@pytest.mark.parametrize(
    "name", [f"{SOCKET}1__WS_HANDSHAKE_v1_responses", "gateway_openai_base_url_apikey__0004__WS_HANDSHAKE_v1_responses"]
)
def test_an_official_handshake_is_taken_whatever_it_offers(gateway: Gateway, name: str) -> None:
    connection, status, head, _ = socket.handshake(gateway, "/v1/responses", handshake(name))
    connection.close()
    assert status == 101
    assert b"extensions" not in head.lower()

"""What must be true of every request that reaches an upstream, whatever a test is about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from floway.providers.codex.simulated.http import Request

ORDER = (
    "host",
    "version",
    "x-openai-account-routing-override",
    "x-codex-beta-features",
    "x-codex-turn-state",
    "x-codex-window-id",
    "x-codex-turn-metadata",
    "x-codex-parent-thread-id",
    "x-openai-subagent",
    "x-openai-internal-codex-responses-lite",
    "x-codex-routing-hint",
    "x-client-request-id",
    "session-id",
    "thread-id",
    "accept",
    "content-encoding",
    "content-type",
    "authorization",
    "chatgpt-account-id",
    "originator",
    "user-agent",
    "cookie",
    "content-length",
)
"""Header names that may go out, in the order of the official client; `host` is framing and may stand anywhere."""

REQUIRED = (
    "x-codex-window-id",
    "x-codex-turn-metadata",
    "x-client-request-id",
    "session-id",
    "thread-id",
    "accept",
    "content-type",
    "authorization",
    "chatgpt-account-id",
    "originator",
    "user-agent",
    "content-length",
)
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def broken_by(request: Request, *, distinct_ids: bool) -> Iterator[str]:
    """Every invariant that a turn breaks, in words.

    :param distinct_ids: the caller stated a thread, request id or cache key of its own, so that they need not be the session.
    """
    yield from _header_lines(request)
    metadata_text = request.header("x-codex-turn-metadata") or "{}"
    client = request.json.get("client_metadata") or {}
    metadata = json.loads(metadata_text)
    if client.get("x-codex-turn-metadata") != metadata_text:
        yield "the turn metadata of header and body differ"
    yield from _mirrored(request, client, metadata)
    if not distinct_ids:
        ids = {request.header("session-id"), request.header("thread-id"), request.header("x-client-request-id")}
        if len({*ids, request.json.get("prompt_cache_key")}) != 1:
            yield f"session, thread, client request and cache key differ: {ids} {request.json.get('prompt_cache_key')}"
        if not _UUID7.fullmatch(client.get("turn_id", "")):
            yield f"the turn id is no UUIDv7: {client.get('turn_id')!r}"


def _mirrored(request: Request, client: dict[str, Any], metadata: dict[str, Any]) -> Iterator[str]:
    window = request.header("x-codex-window-id") or ""
    thread = request.header("thread-id")
    surfaces = {
        "session": (request.header("session-id"), client.get("session_id"), metadata.get("session_id")),
        "thread": (thread, client.get("thread_id"), metadata.get("thread_id"), window.rpartition(":")[0]),
        "window": (window, client.get("x-codex-window-id"), metadata.get("window_id")),
        "turn": (client.get("turn_id"), metadata.get("turn_id")),
        "installation": (client.get("x-codex-installation-id"), metadata.get("installation_id")),
    }
    if str(metadata.get("window_number", window.rpartition(":")[2])) != window.rpartition(":")[2]:
        yield f"the window's number is not that of its id: {metadata.get('window_number')} {window}"
    if len({column["root_turn_id"] for column in (client, metadata) if "root_turn_id" in column}) > 1:
        yield "the root turn differs among its surfaces"
    for name, values in surfaces.items():
        if len(set(values)) != 1 or not values[0]:
            yield f"the {name} differs among its surfaces: {values}"


def _header_lines(request: Request) -> Iterator[str]:
    names = [name for name, _ in request.headers]
    for name in names:
        if name.lower() not in ORDER:
            yield f"a header that nobody asked for: {name}"
        if name != name.lower() and name.lower() not in {"host", "content-length"}:
            yield f"not in lower case: {name}"
    if len(set(names)) != len(names):
        yield f"a header stands twice: {names}"
    ranked = [ORDER.index(name) for name in names if name in ORDER and name != "host"]
    if ranked != sorted(ranked):
        yield f"headers out of order: {names}"
    for name in REQUIRED:
        if request.header(name) is None:
            yield f"missing: {name}"

"""Requests, accounts and what becomes of them: plain factories for the tests of the Codex provider."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

from floway.providers.codex.provider import CodexProvider
from floway.providers.contract import (
    Account,
    Action,
    IdentityClaim,
    Keepsake,
    PreparedRequest,
    RequestContext,
    ResponsesRequest,
)
from floway.wire.headers import Headers

GOLDEN = Path(__file__).parent.parent / "golden"
NOW = datetime(2026, 11, 23, 9, 30, 15, 250_000, tzinfo=UTC)
DEVICE = "9f1c7e52-3d3c-4f0e-8d5a-6a2b1c0d9e8f"
OFFICIAL_AGENT = "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)"
OFFICIAL = (("originator", "codex_exec"), ("user-agent", OFFICIAL_AGENT), ("x-codex-beta-features", "remote_compaction_v2"))


def seeded(seed: str) -> Callable[[int], bytes]:
    """Bytes that are the same for the same seed."""
    drawn = iter(range(1_000_000))
    return lambda count: hashlib.shake_256(f"{seed}{next(drawn)}".encode()).digest(count)


def make_provider(
    profile: str = "0.169.0", *, slug: str = "codex", base_url: str = "https://chatgpt.com/backend-api", **over: Any
) -> CodexProvider:
    options = {"auth_url": "https://auth.openai.com", "connect_timeout": 5.0, "answer_timeout": 5.0, "clock": lambda: NOW}
    return CodexProvider(slug, base_url=base_url, profile=profile, **{**options, **over})


def make_account(**over: Any) -> Account:
    fields: dict[str, Any] = {
        "credential_id": 7,
        "account_id": "11111111-2222-4333-8444-555555555555",
        "user_id": "user-1",
        "email": "dev@example.com",
        "plan": "pro",
        "device_id": DEVICE,
        "access_token": "eyJ.access.token",
    }
    return Account(**{**fields, **over})


def user(text: str = "hello") -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def make_body(**over: Any) -> dict[str, Any]:
    return {"model": "gpt-5.5", "input": [user()], **over}


@dataclass(frozen=True)
class Sent:
    """A prepared request, taken apart again."""

    claim: IdentityClaim
    prepared: PreparedRequest

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.prepared.request.headers)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.prepared.request.headers]

    @property
    def body(self) -> dict[str, Any]:
        raw = zstandard.ZstdDecompressor().decompress(self.prepared.request.body)
        return json.loads(raw)

    @property
    def client_metadata(self) -> dict[str, Any]:
        return self.body["client_metadata"]

    @property
    def metadata(self) -> dict[str, Any]:
        return json.loads(self.headers["x-codex-turn-metadata"])

    @property
    def sources(self) -> dict[str, str]:
        return {resolved.name: resolved.source for resolved in self.prepared.identity}

    @property
    def dropped(self) -> dict[str, bool]:
        return {change.field: change.refusable for change in self.prepared.changes if change.kind.value == "dropped"}


def send(
    body: dict[str, Any] | None = None,
    headers: Any = (),
    *,
    provider: CodexProvider | None = None,
    action: Action = Action.GENERATE,
    continued: Any = None,
    continued_items: int = 0,
    recalled: Any = None,
    resumed: Any = None,
    latest: Any = None,
    generation: int = 0,
    transport: Any = "http",
    seed: str = "attempt",
    account: Account | None = None,
    note: Any = None,
    keepsakes: tuple[Keepsake, ...] = (),
) -> Sent:
    """Identify and prepare one request, as the gateway does."""
    provider = provider or make_provider()
    lines = headers.items() if isinstance(headers, dict) else headers
    inbound = ResponsesRequest(Headers.of(lines), make_body() if body is None else body, continued_items, transport)
    claim = provider.identify(inbound, continued, recalled, NOW, seeded(f"{seed} identify"))
    context = RequestContext(
        attempt_id="req_1",
        started_at=NOW,
        entropy=seeded(f"{seed} prepare"),
        action=action,
        inbound=inbound,
        account=account or make_account(),
        claim=claim,
        note=note or claim.note,
        continued=continued,
        resumed=resumed,
        latest=latest,
        generation=generation,
        keepsakes=keepsakes,
    )
    return Sent(claim, provider.prepare_responses_request(context))


def capture(name: str) -> dict[str, Any]:
    """One golden capture, by its name without the suffix."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def captured_lines(taken: dict[str, Any]) -> list[tuple[str, str]]:
    """Its header lines, pseudo-headers left out."""
    return [(name, value) for name, value in taken["headers"] if not name.startswith(":")]


def replay(name: str, profile: str = "0.169.0") -> Sent:
    """What the gateway would send for a captured request; the gateway's key and framing never reach a provider."""
    taken = capture(name)
    removed = {"authorization", "host", "content-length", "content-encoding"}
    lines = [line for line in captured_lines(taken) if line[0] not in removed]
    override = dict(lines).get("x-openai-account-routing-override")
    account = make_account(facts={"origin": None, "override": override})
    return send(taken["body"], lines, provider=make_provider(profile), account=account)

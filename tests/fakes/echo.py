"""A provider that has nothing in common with any real one: it speaks a dialect of its own and answers from memory.

It shows that the gateway needs no concept of a particular upstream.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from floway.providers.contract import (
    Account,
    AnswerNotes,
    Catalogue,
    Change,
    ChangeKind,
    DialectAction,
    DialectRoute,
    Entropy,
    Failure,
    FailureKind,
    Grant,
    IdentityClaim,
    InvalidDocument,
    Model,
    NotYet,
    PreparedRequest,
    Proxy,
    QuotaWindow,
    RequestContext,
    ResolvedId,
    ResponsesRequest,
    ScopeStep,
    SignInMethod,
    SignInStart,
    SnapshotContext,
    SnapshotNote,
    TokenGrant,
    UpstreamRequest,
    UpstreamResponse,
)
from floway.wire.headers import Headers
from floway.wire.json import JSON, JSONObject


class Memory:
    """An answer that is there already."""

    status = 200
    headers = Headers()

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, timeout: float) -> bytes:
        body, self._body = self._body, b""
        return body

    def read_all(self, limit: int, timeout: float) -> bytes:
        return self.read(timeout)[:limit]

    def close(self, *, heard_out: bool = False) -> None:
        self._body = b""


class EchoProvider:
    """Says what it heard."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.prompt_cache = None

    def recognises(self, headers: Headers) -> bool:
        return "x-echo" in headers

    def dialect_routes(self) -> Sequence[DialectRoute]:
        return (DialectRoute("echo/manners", DialectAction.DOCUMENT),)

    def dialect_document(self, path: str, headers: Headers) -> JSON:
        return {"path": path}

    def identify(
        self, inbound: ResponsesRequest, continued: JSON | None, recalled: JSON | None, started_at: datetime, entropy: Entropy
    ) -> IdentityClaim:
        known = continued or recalled
        room = known["room"] if known else entropy(8).hex()
        source = "remembered" if known else "new"
        return IdentityClaim(
            scope=(ScopeStep("room", room),),
            note={"room": room},
            window=None,
            identity=(ResolvedId("room", room, source),),
            recall_key=None if known else f"room {json.dumps(inbound.body.get('input'))}",
        )

    def prepare_responses_request(self, context: RequestContext) -> PreparedRequest:
        said = context.inbound.body["input"]
        heard = [json.dumps(item) for item in ([said] if isinstance(said, str) else said)]
        words = f"{context.claim.note['room']} in {context.generation} heard {len(heard)}: {heard[-1]}"
        request = UpstreamRequest("SAY", "echo:", (), words.encode())
        changes = (
            (Change(ChangeKind.DROPPED, "user", "nobody listens", refusable=True),) if "user" in context.inbound.body else ()
        )
        return PreparedRequest(request, carry=context.note, changes=changes, identity=context.claim.identity)

    def before_responses_snapshot_commit(self, context: SnapshotContext) -> SnapshotNote | None:
        return SnapshotNote(context.carry, (ScopeStep("room", context.carry["room"]),))

    def stream(self, request: UpstreamRequest, account: Account) -> UpstreamResponse:
        part = {"type": "output_text", "text": request.body.decode(), "annotations": []}
        item = {"type": "message", "id": "msg_echo", "status": "completed", "role": "assistant", "content": [part]}
        response: dict[str, Any] = {"id": "echo", "object": "response", "status": "in_progress", "model": "echo", "output": []}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": [], "status": "in_progress"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {**response, "status": "completed", "output": [item]}},
        ]
        numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
        return Memory(b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in numbered))

    def read_answer(self, carry: JSON, headers: Headers) -> AnswerNotes:
        return AnswerNotes({})

    def classify_failure(self, status: int, headers: Headers, body: bytes, now: datetime) -> Failure:
        return Failure(FailureKind.UPSTREAM, 502, None, "server_error", "The echo failed.", "The echo failed.")

    def classify_event(self, error: JSON) -> Failure:
        return self.classify_failure(200, Headers(), b"", datetime.fromtimestamp(0, UTC))

    def models(self, account: Account) -> Catalogue:
        return Catalogue((Model("echo", 0, "nobody"),))

    def narrowed(self, found: Catalogue) -> Catalogue:
        return found

    def quota(self, headers: Headers, now: datetime) -> Sequence[QuotaWindow]:
        return ()

    def poll_quota(self, account: Account) -> Sequence[QuotaWindow]:
        return ()

    def discover(self, account: Account) -> JSON:
        return None

    def import_credential(self, document: JSON) -> Grant:
        if not isinstance(document, dict) or "name" not in document:
            raise InvalidDocument("It names nobody.")
        tokens = TokenGrant("token", "again", "who", None)
        return Grant(document["name"], "", document["name"], document["name"], "", tokens)

    def refresh(self, account: Account, refresh_token: str, *, refused: bool = False) -> TokenGrant:
        return TokenGrant("token", refresh_token, None, None)

    def export_credential(self, account: Account, tokens: TokenGrant, refreshed_at: datetime | None) -> JSONObject:
        return {"name": account.account_id}

    def sign_in_methods(self) -> Sequence[SignInMethod]:
        return (SignInMethod("shout", "By shouting", "Shout, and wait.", ("Shout.",)),)

    def begin_sign_in(
        self, method: str, redirect_uri: str | None, entropy: Entropy, *, proxy: Proxy | None = None
    ) -> SignInStart:
        return SignInStart("echo:", state="somebody")

    def finish_sign_in(self, method: str, state: JSON, callback: str | None, *, proxy: Proxy | None = None) -> Grant | NotYet:
        return self.import_credential({"name": state})

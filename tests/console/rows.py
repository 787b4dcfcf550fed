"""Rows for the pages to show, as plain functions; moments are counted from a fixed one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import ApiKey, ApiKeySecret, CredentialTokens, OAuthCredential, QuotaReading
from responses_app.models import Conversation, Exchange, Item, Segment, Snapshot, Worker

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SENTINEL = "s3nt1nel-must-never-be-shown"


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def make_credential(number: int = 1, *, now: datetime = NOW, **over: Any) -> OAuthCredential:
    """A credential whose token columns hold the sentinel in clear, so that any page that shows them is caught."""
    fields = {"provider": "codex", "subject": f"subject-{number}", "email": f"operator{number}@example.com", "plan": "pro"}
    rest = {"account_id": f"account-{number}", "document_rest": {"secret": SENTINEL}}
    credential = OAuthCredential.objects.create(**{**fields, **rest, **over})
    secret = SENTINEL.encode()
    CredentialTokens.objects.create(
        credential=credential,
        access_token=secret,
        refresh_token=secret,
        id_token=secret,
        refresh_fingerprint=secret,
        access_expires_at=now + timedelta(days=6),
        refreshed_at=now - timedelta(hours=2),
        lease_holder=SENTINEL,
    )
    for window, minutes, used in (("primary", 300, 41.5), ("secondary", 10080, 93.0)):
        QuotaReading.objects.create(
            credential=credential,
            limit="requests",
            window=window,
            minutes=minutes,
            used_percent=used,
            resets_at=now + timedelta(minutes=minutes // 3),
            observed_at=now,
        )
    return credential


def make_key(number: int = 1, **over: Any) -> ApiKey:
    """A key whose secret's hash is known to the sentinel test."""
    key = ApiKey.objects.create(**{"name": f"key {number}", "provider": "codex", **over})
    ApiKeySecret.objects.create(key=key, prefix=f"fw_{number:07}", digest=digest("key", key.pk))
    return key


def make_conversation(key: ApiKey, number: int = 1, **over: Any) -> Conversation:
    """A conversation with a scope of three steps and notes."""
    scope = [{"kind": kind, "id": f"0193-{kind}-{number:08}"} for kind in ("session", "thread")]
    fields = {"api_key": key, "provider": "codex", "scope": scope, "scope_digest": digest("scope", key.pk, number)}
    notes = {"note": {"session": scope[0]["id"], "turns": 1}, "latest_note": {"turns": number}}
    return Conversation.objects.create(**{**fields, **notes, **over})


def make_exchange(key: ApiKey, number: int = 1, *, now: datetime = NOW, **over: Any) -> Exchange:
    """A completed exchange with everything on it."""
    started = now - timedelta(minutes=7 * number)
    total = 2_000 + 731 * (number % 9)
    fields: dict[str, Any] = {
        "request_id": f"req_{number:032x}",
        "response_id": f"resp_{number:048x}",
        "api_key": key,
        "provider": "codex",
        "action": "generate",
        "model": "sample-1",
        "streamed": True,
        "stored": True,
        "status": Exchange.Status.COMPLETED,
        "ended_by": Exchange.EndedBy.UPSTREAM,
        "last_event": "response.completed",
        "http_status": 200,
        "dispatches": 1,
        "attempts": [
            {"credential_id": 1, "credential": "operator@example.com", "outcome": "answered", "detail": "", "ms": 512}
        ],
        "identity": [
            {"name": "session", "value": f"0193-session-{number:08}", "source": "header session-id"},
            {"name": "turn", "value": f"0193-turn-{number:08}", "source": "minted"},
        ],
        "changes": [
            {"kind": "dropped", "field": "temperature", "reason": "the upstream refuses it"},
            {"kind": "rewritten", "field": "store", "reason": "the upstream keeps nothing"},
        ],
        "upstream_ids": {"x-request-id": f"up-{number}", "cf-ray": f"ray-{number}"},
        "input_tokens": 10_000 + 137 * number,
        "cached_tokens": 8_000 + 97 * number,
        "output_tokens": 420 + number,
        "reasoning_tokens": 64,
        "started_at": started,
        "deadline_at": started + timedelta(hours=1),
        "first_byte_ms": 640 + 13 * number,
        "total_ms": total,
        "finished_at": started + timedelta(milliseconds=total),
    }
    return Exchange.objects.create(**{**fields, **over})


def make_snapshot(exchange: Exchange, conversation: Conversation, parent: Snapshot | None = None, **over: Any) -> Snapshot:
    """The settled turn of `exchange`, on a segment of its own."""
    length = (parent.length if parent else 0) + 3
    segment = Segment.objects.create(conversation=conversation, length=length)
    fields = {
        "response_id": exchange.response_id,
        "api_key": exchange.api_key,
        "conversation": conversation,
        "credential": exchange.credential,
        "exchange": exchange,
        "parent": parent,
        "segment": segment,
        "length": length,
        "generation": 0,
        "model": exchange.model,
        "stored": True,
        "created_at": exchange.finished_at,
    }
    return Snapshot.objects.create(**{**fields, **over})


def make_item(conversation: Conversation, number: int = 1, **over: Any) -> Item:
    """An item whose sealed column holds the sentinel in clear."""
    fields = {"conversation": conversation, "digest": digest("item", number), "sealed": SENTINEL.encode() * 9}
    return Item.objects.create(**{**fields, **over})


def make_history(count: int, first: int = 1) -> None:
    """Rows of everything, numbered `first` to `count`, all of them linked to what they can link to."""
    for number in range(first, count + 1):
        credential, key = make_credential(number), make_key(number)
        conversation = make_conversation(key, number, credential=credential)
        earlier = make_exchange(key, 2 * number - 1, conversation=conversation, credential=credential)
        parent = make_snapshot(earlier, conversation)
        second = make_exchange(key, 2 * number, conversation=conversation, credential=credential, continued=parent)
        parent.continued_by = second
        parent.save()
        make_snapshot(second, conversation, parent)
        make_item(conversation, number, credential=credential)
        Worker.objects.create(host=f"host-{number}", pid=number)

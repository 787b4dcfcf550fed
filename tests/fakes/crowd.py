"""A gateway with a year behind it: as many exchanges and snapshots as are asked for, in seconds, without content.

Rows of one table differ in a few columns only; the others are prepared once. Everything is counted back from `now`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from accounts.models import ApiKey, AuditEntry, CredentialTokens, KeyBudget, OAuthCredential, QuotaReading
from responses_app.models import Conversation, Exchange, Segment, Snapshot

_AT_ONCE = 5_000
_CAUSES = (
    ("upstream_unreachable", "unreached", 503),
    ("rate_limit_exceeded", "upstream_refused", 429),
    ("server_error", "upstream_cut", 200),
    ("invalid_type", "gateway", 400),
)
_MODELS = ("sample-1", "sample-2", "sample-3")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything. `per_day` exchanges end in each 24 hours, the newest just now."""

    exchanges: int = 100_000
    snapshots: int = 20_000
    conversations: int = 400
    longest: int = 1_000
    keys: int = 40
    credentials: int = 6
    per_day: int = 20_000
    acts: int = 20_000


def fill(now: datetime, size: Size = Size()) -> None:
    """Fill an empty database."""
    with transaction.atomic():
        credentials = [_credential(number, now) for number in range(1, size.credentials + 1)]
        keys = [ApiKey.objects.create(name=f"team {number}", provider="codex") for number in range(1, size.keys + 1)]
        KeyBudget.objects.bulk_create(
            KeyBudget(key=k, kind=kind, amount=10_000, window="day") for k in keys for kind in KeyBudget.Kind
        )
        AuditEntry.objects.bulk_create(_acts(now, size), _AT_ONCE)
        conversations = _conversations(now, size, keys, credentials)
        _insert(Exchange, _exchange(now), _exchanges(now, size, conversations, credentials))
        _snapshots(size, conversations)


def _credential(number: int, now: datetime) -> OAuthCredential:
    credential = OAuthCredential.objects.create(
        provider="codex", subject=f"crowd-{number}", email=f"crowd{number}@example.com", account_id=f"account-{number}"
    )
    blank = dict.fromkeys(("access_token", "refresh_token", "id_token", "refresh_fingerprint"), b"")
    CredentialTokens.objects.create(credential=credential, access_expires_at=now + timedelta(days=6), **blank)
    for window, minutes in (("primary", 300), ("secondary", 10_080)):
        QuotaReading.objects.create(
            credential=credential,
            limit="requests",
            window=window,
            used_percent=13.0 * number % 100,
            minutes=minutes,
            resets_at=now + timedelta(minutes=minutes // 2),
            observed_at=now,
        )
    return credential


def _acts(now: datetime, size: Size) -> Iterator[AuditEntry]:
    for number in range(size.acts):
        at = now - timedelta(minutes=number)
        yield AuditEntry(at=at, actor=f"operator {number % 7}", action="signed in", object_label="session", address="127.0.0.1")


def _conversations(
    now: datetime, size: Size, keys: Sequence[ApiKey], credentials: Sequence[OAuthCredential]
) -> Sequence[Conversation]:
    rows = [
        Conversation(
            api_key=keys[number // 2 % len(keys)],
            provider="codex",
            scope=[{"kind": "session", "id": f"session-{number // 2:012}"}, {"kind": "thread", "id": f"thread-{number:012}"}],
            scope_digest=number.to_bytes(32),
            credential=credentials[number % len(credentials)],
            last_used_at=now - timedelta(minutes=number),
        )
        for number in range(size.conversations)
    ]
    return Conversation.objects.bulk_create(rows)


def _exchange(now: datetime) -> Exchange:
    """What all exchanges have in common."""
    return Exchange(
        provider="codex",
        action="generate",
        streamed=True,
        stored=True,
        last_event="response.completed",
        dispatches=1,
        attempts=[{"credential_id": 1, "credential": "crowd1@example.com", "outcome": "answered", "at": 12, "ms": 400}],
        identity=[{"name": "session", "value": "session-000000000001", "source": "header session-id"}] * 6,
        changes=[{"kind": "dropped", "field": "temperature", "reason": "the upstream refuses it"}],
        upstream_ids={"x-request-id": "req_upstream", "cf-ray": "ray"},
        preamble={"instructions": "0123456789abcdef", "tools": "fedcba9876543210"},
        input_items=12,
        known_items=10,
        deadline_at=now + timedelta(hours=1),
        first_byte_ms=600,
        total_ms=4_000,
    )


def _exchanges(
    now: datetime, size: Size, conversations: Sequence[Conversation], credentials: Sequence[OAuthCredential]
) -> Iterator[Mapping[str, Any]]:
    step = timedelta(days=1) / size.per_day
    for number in range(size.exchanges):
        conversation = conversations[_conversation_of(number, size)]
        started = now - step * (size.exchanges - number) - timedelta(seconds=5)
        failed = number % 17 == 3
        code, ended_by, http_status = _CAUSES[number % len(_CAUSES)] if failed else ("", "upstream", 200)
        credential = credentials[(number // 7_000) % len(credentials)]
        tokens = 2_000 + 31 * number % 9_000 + number % 90_000
        yield {
            "request_id": f"req_{number:032x}",
            "response_id": f"resp_{number:048x}",
            "api_key_id": conversation.api_key_id,
            "conversation_id": conversation.pk,
            "credential_id": credential.pk,
            "model": _MODELS[conversation.pk % len(_MODELS)],
            "generation": 0,
            "status": "failed" if failed else "completed",
            "ended_by": ended_by,
            "error_code": code,
            "http_status": http_status,
            "input_tokens": None if failed else tokens,
            "cached_tokens": None if failed else tokens * (number % 5) // 5,
            "output_tokens": None if failed else 200,
            "reasoning_tokens": None if failed else 60,
            "started_at": started,
            "finished_at": started + timedelta(seconds=4),
        }


def _conversation_of(number: int, size: Size) -> int:
    """One conversation is long; the others share the rest."""
    return 0 if number >= size.exchanges - size.longest else number % size.conversations


def _snapshots(size: Size, conversations: Sequence[Conversation]) -> None:
    """The latest completed exchanges' own, each going on from its conversation's last, forked now and then."""
    segments = Segment.objects.bulk_create(Segment(conversation=c, length=10_000_000) for c in conversations)
    segment_of = {segment.conversation_id: segment.pk for segment in segments}
    made = Exchange.objects.filter(status="completed").order_by("-started_at")
    latest = made.values_list("pk", "response_id", "conversation_id", "api_key_id", "credential_id", "finished_at")
    common = Snapshot(model="sample-1", stored=True, chain=b"\0" * 32, metadata_json={"session_id": "session-000000000001"})
    last: dict[int, list[tuple[int, int, int]]] = {}

    def rows() -> Iterator[Mapping[str, Any]]:
        for pk, found in enumerate(reversed(latest[: size.snapshots]), start=1):
            exchange, response_id, conversation, key, credential, finished = found
            line = last.setdefault(conversation, [])
            forked = len(line) > 3 and pk % 11 == 0
            parent, length, window = line[-3 if forked else -1] if line else (None, 0, 0)
            window = max((known[2] for known in line), default=-1) + 1 if forked or pk % 53 == 0 else window
            line.append((pk, length + 3, window))
            yield {
                "id": pk,
                "response_id": response_id,
                "api_key_id": key,
                "conversation_id": conversation,
                "credential_id": credential,
                "exchange_id": exchange,
                "parent_id": parent,
                "segment_id": segment_of[conversation],
                "length": length + 3,
                "generation": window,
                "compaction": pk % 53 == 0,
                "created_at": finished,
                "last_used_at": finished,
            }

    _insert(Snapshot, common, rows())


def _insert(model: type[Model], common: Model, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows that differ from `common` in what each names; all name the same columns, the first decides which."""
    waiting = iter(rows)
    first = next(waiting)
    fields = {field.attname: field for field in model._meta.concrete_fields if field.attname != "id" or "id" in first}
    shared = [None if n in first else f.get_db_prep_save(getattr(common, n), connection) for n, f in fields.items()]
    places = [(index, name, fields[name]) for index, name in enumerate(fields) if name in first]
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields.values())
    table = connection.ops.quote_name(model._meta.db_table)
    statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"

    def values(row: Mapping[str, Any]) -> list[Any]:
        whole = list(shared)
        for index, name, field in places:
            value = row[name]
            whole[index] = field.get_db_prep_save(value, connection) if isinstance(value, datetime | bool) else value
        return whole

    batch = [values(first)]
    with connection.cursor() as cursor:
        for row in waiting:
            batch.append(values(row))
            if len(batch) == _AT_ONCE:
                cursor.executemany(statement, batch)
                batch.clear()
        if batch:
            cursor.executemany(statement, batch)

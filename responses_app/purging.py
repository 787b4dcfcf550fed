"""Purges: all content of a key, of a conversation or of an end user, deleted because somebody asked for it.

First everything is marked, in moments: from then on nobody can read or continue it, and a turn in flight is settled without
being stored. Then it is deleted, some at a time, by whoever asked for as long as they wait and by the maintenance loop
thereafter. Conversations go whole, and with them those that were continued from them. Exchanges keep their numbers and lose
what names anybody.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import ApiKey
from responses_app import background, end_users, pruning
from responses_app.models import (
    BackgroundResponse,
    Conversation,
    Exchange,
    IdempotentRequest,
    Item,
    NamedConversation,
    Payload,
    Provenance,
    Purge,
    RecallKey,
    Snapshot,
)
from responses_app.pacing import Pace

MOST_COUNTED = 100_000
"""More are said to be this many or more: a page shall not count millions."""
_AT_ONCE = 200
_CONVERSATIONS = 50
_NAMELESS: dict[str, Any] = {
    "end_user_digest": None,
    "user_digest": None,
    "identity": [],
    "preamble": None,
    "attempts": [],
    "changes": [],
    "error_message": "",
    "operator_note": "",
}
Kind = Purge.Kind


@dataclass(frozen=True, slots=True)
class Target:
    """Whose content. `digest` is the end user's."""

    kind: Purge.Kind
    key: ApiKey
    conversation: int | None = None
    digest: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, purge: Purge) -> Target:
        """What a purge was asked for."""
        digest = None if purge.end_user_digest is None else bytes(purge.end_user_digest)
        return cls(Kind(purge.kind), purge.api_key, purge.conversation_number, digest)

    @classmethod
    def end_user(cls, key: ApiKey, name: str) -> Target:
        """By the name that the key's caller gives."""
        return cls(Kind.END_USER, key, digest=end_users.digest_of(key.pk, name))

    def exchanges(self, until: datetime) -> QuerySet[Exchange]:
        """Its own, begun until then."""
        mine = Exchange.objects.filter(api_key=self.key, started_at__lte=until)
        if self.kind is Kind.CONVERSATION:
            return mine.filter(conversation=self.conversation)
        if self.kind is Kind.END_USER:
            return mine.filter(Q(end_user_digest=self.digest) | Q(user_digest=self.digest))
        return mine

    def conversations(self, until: datetime) -> QuerySet[Conversation]:
        """Those concerned, not marked yet: its own, and those that were continued from them."""
        rows = Conversation.objects.filter(purge=None, api_key=self.key, created_at__lte=until)
        if self.kind is Kind.KEY:
            return rows
        own = {self.conversation} if self.kind is Kind.CONVERSATION else set(_named(self.exchanges(until)))
        return rows.filter(pk__in=_with_descendants({pk for pk in own if pk is not None}))


def _named(exchanges: QuerySet[Exchange]) -> Iterable[int]:
    return exchanges.exclude(conversation=None).order_by().values_list("conversation_id", flat=True).distinct()


def _with_descendants(own: set[int]) -> set[int]:
    """With the conversations that were continued from one of them, and from those."""
    known, fresh = set(own), sorted(own)
    while fresh:
        found: set[int] = set()
        for start in range(0, len(fresh), _AT_ONCE):
            children = Snapshot.objects.filter(parent__conversation__in=fresh[start : start + _AT_ONCE])
            elsewhere = children.exclude(conversation=F("parent__conversation")).order_by()
            found.update(elsewhere.values_list("conversation_id", flat=True).distinct())
        fresh = sorted(found - known)
        known |= found
    return known


# --- what will be lost ----------------------------------------------------------------------------------------------------


def foresee(target: Target, now: datetime) -> dict[str, int]:
    """How many of what will be lost, MOST_COUNTED at most; and how many requests are in flight that will not be stored."""
    conversations = target.conversations(now)
    within = conversations.values("pk")
    snapshots = Snapshot.objects.filter(conversation__in=within)
    exchanges = Exchange.objects.filter(Q(conversation__in=within) | Q(pk__in=target.exchanges(now).values("pk")))
    counted: dict[str, QuerySet[Any]] = {
        "conversations": conversations,
        "responses": snapshots.filter(stored=True, deleted_at=None),
        "named_conversations": NamedConversation.objects.filter(tip__conversation__in=within),
        "items": Item.objects.filter(conversation__in=within),
        "payloads": Payload.objects.filter(exchange__in=exchanges.values("pk")),
        "exchanges": exchanges,
        "in_flight": exchanges.in_flight(),
    }
    if target.kind is not Kind.KEY:
        counted["of_others"] = snapshots.filter(stored=True, deleted_at=None).exclude(exchange__in=target.exchanges(now))
    return {name: rows.order_by()[:MOST_COUNTED].count() for name, rows in counted.items()}


# --- asking and doing -----------------------------------------------------------------------------------------------------


def ask(target: Target, who: str, who_id: int | None, now: datetime) -> Purge:
    """Write the order down. `advance` carries it out."""
    purge = Purge.objects.create(
        kind=target.kind,
        api_key=target.key,
        conversation_number=target.conversation,
        end_user_digest=target.digest,
        asked_at=now,
        asked_by=who,
        asked_by_id=who_id,
        foreseen=foresee(target, now),
    )
    audit.record("asked for a purge", purge, **purge.foreseen)
    return purge


def advance(purge: Purge, pace: Pace) -> bool:
    """Carry it out as far as the time goes; returns whether nothing is left of it. Any number of processes may."""
    work = _Work(purge, pace)
    work.mark()
    if not pace.is_over:
        work.delete()
    purge.refresh_from_db()
    return purge.finished_at is not None


def advance_all(pace: Pace) -> None:
    """Go on with those that are not finished."""
    for purge in Purge.objects.filter(finished_at=None).select_related("api_key").order_by("asked_at"):
        if pace.is_over:
            return
        advance(purge, pace)


class _Work:
    """One purge being carried out."""

    def __init__(self, purge: Purge, pace: Pace) -> None:
        self._purge = purge
        self._pace = pace
        self._target = Target.of(purge)

    def mark(self) -> None:
        """Make everything unknown."""
        if self._purge.marked_at is not None:
            return
        while some := list(self._target.conversations(self._purge.asked_at).values_list("pk", flat=True)[:_AT_ONCE]):
            if self._pace.is_over:
                return
            with self._pace.stroke():
                for conversation in Conversation.objects.select_for_update().filter(pk__in=some).order_by("pk"):
                    self._mark(conversation)
                RecallKey.objects.filter(conversation__in=some).delete()
                self._forget_handles(some)
        with self._pace.stroke():
            Purge.objects.filter(pk=self._purge.pk, marked_at=None).update(marked_at=timezone.now())

    def _mark(self, conversation: Conversation) -> None:
        """No caller's scope finds it any more, and what it was told is forgotten."""
        conversation.purge = self._purge
        conversation.scope_digest, conversation.scope = secrets.token_bytes(32), []
        conversation.note, conversation.latest_note, conversation.opaque_window = None, None, None
        conversation.save(
            update_fields=["purge", "scope_digest", "scope", "note", "latest_note", "opaque_window"],
        )

    def _forget_handles(self, conversations: list[int]) -> None:
        """End and empty what is being made in the background, and delete callers' handles."""
        running = Exchange.objects.in_flight().filter(conversation__in=conversations)
        standing = BackgroundResponse.objects.filter(continued__conversation__in=conversations).exclude(sealed=b"")
        ids = {*running.values_list("response_id", flat=True), *standing.values_list("response_id", flat=True)}
        for response_id in sorted(ids):
            background.delete(self._purge.api_key_id, response_id, timezone.now())
        named = NamedConversation.objects.filter(tip__conversation__in=conversations).only("pk").delete()[0]
        self._count(Counter(named_conversations=named))

    def delete(self) -> None:
        """Delete what is marked, then what stands beside conversations."""
        waiting = False
        marked = Conversation.objects.filter(purge=self._purge).order_by("pk")
        for pk in list(marked.values_list("pk", flat=True)):
            if self._pace.is_over:
                return
            waiting = not self._empty(pk) or waiting
        if self._beside() and not waiting and not self._pace.is_over:
            self._finish()

    def _empty(self, conversation_id: int) -> bool:
        """Delete the conversation and what it holds; False where it has to stay yet: a turn is in flight, or time is over."""
        self._forget_exchanges(Exchange.objects.filter(conversation=conversation_id), conversation=None)
        rows = Snapshot.objects.filter(conversation=conversation_id).order_by("-pk")
        while some := list(rows.values_list("pk", flat=True)[:_AT_ONCE]):
            if self._pace.is_over:
                return False
            with self._pace.stroke():
                if pruning.locked([conversation_id]):
                    self._count(pruning.remove(some))
        if self._pace.is_over or Exchange.objects.filter(conversation=conversation_id).exists():
            return False
        with self._pace.stroke():
            gone = Conversation.objects.filter(pk=conversation_id).only("pk").delete()[1]
            self._count(Counter(conversations=gone.get("responses_app.Conversation", 0)))
        return True

    def _forget_exchanges(self, exchanges: QuerySet[Exchange], **also: None) -> bool:
        """Take from ended ones what names anybody, and what was captured; False where time is over before."""
        ended = exchanges.exclude(status=Exchange.Status.IN_FLIGHT).order_by("pk")
        while some := list(ended.values_list("pk", flat=True)[:_AT_ONCE]):
            if self._pace.is_over:
                return False
            with self._pace.stroke():
                self._count(self._forget(some, **also))
        return True

    def _forget(self, exchanges: list[int], **also: None) -> Counter[str]:
        rows = Exchange.objects.filter(pk__in=exchanges)
        ids = list(rows.values_list("response_id", flat=True))
        BackgroundResponse.objects.filter(response_id__in=ids).only("pk").delete()
        IdempotentRequest.objects.filter(api_key=self._purge.api_key, response_id__in=ids).delete()
        payloads = Payload.objects.filter(exchange__in=exchanges).only("pk").delete()[0]
        return Counter(exchanges=rows.update(**_NAMELESS, **also), payloads=payloads)

    def _beside(self) -> bool:
        """What no conversation has: refused requests, and of a key also which ciphertext is whose."""
        target = self._target
        mine = target.exchanges(self._purge.asked_at)
        if target.kind is Kind.END_USER:
            return self._forget_exchanges(mine)
        if target.kind is Kind.CONVERSATION:
            return True
        named = ~Q(identity=[]) | ~Q(error_message="") | ~Q(operator_note="") | ~Q(changes=[])
        named |= Q(Exists(Payload.objects.filter(exchange=OuterRef("pk"))))
        named |= Q(end_user_digest__isnull=False) | Q(user_digest__isnull=False) | ~Q(attempts=[])
        key, until = self._purge.api_key, self._purge.asked_at
        return (
            self._forget_exchanges(mine.filter(named))
            and self._forget_rows(Provenance.objects.filter(api_key=key, created_at__lte=until), "provenance")
            and self._forget_rows(BackgroundResponse.objects.filter(api_key=key, created_at__lte=until), "background")
            and self._forget_rows(IdempotentRequest.objects.filter(api_key=key, taken_at__lte=until), "idempotent")
        )

    def _forget_rows(self, rows: QuerySet[Any], name: str) -> bool:
        while some := list(rows.values_list("pk", flat=True)[:_AT_ONCE]):
            if self._pace.is_over:
                return False
            with self._pace.stroke():
                rows.model._default_manager.filter(pk__in=some).only("pk").delete()
                self._count(Counter({name: len(some)}))
        return True

    def _count(self, removed: Counter[str]) -> None:
        """Add to what is gone: the last act of the open transaction, for another process may be at the same purge."""
        row = Purge.objects.select_for_update().get(pk=self._purge.pk)
        row.removed = dict(Counter(row.removed) + removed)
        row.save(update_fields=["removed"])

    def _finish(self) -> None:
        with self._pace.stroke():
            if Purge.objects.filter(pk=self._purge.pk, finished_at=None).update(finished_at=timezone.now()):
                row = Purge.objects.get(pk=self._purge.pk)
                with audit.for_somebody(row.asked_by, row.asked_by_id):
                    audit.record("purged", row, **row.removed)

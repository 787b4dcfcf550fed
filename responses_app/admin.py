"""The operator's pages for what was asked and answered: to look at; content for those alone who may read it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from floway import markup
from responses_app import (
    cache_history,
    fleet,
    price_pages,  # noqa: F401 - registering is its effect
    purge_pages,  # noqa: F401 - likewise
    reading,
    repeating,
    storage_pages,  # noqa: F401 - likewise
)
from responses_app.diagnosis import first_difference
from responses_app.filters import (
    CompactedFilter,
    CreatedFilter,
    CredentialFilter,
    DayFilter,
    KeptFilter,
    KeyFilter,
    ModelFilter,
    OutcomeFilter,
    SettledFilter,
    UsedFilter,
)
from responses_app.history import HistoryAdmin, outcome
from responses_app.models import Conversation, Exchange, Item, Payload, Snapshot, Worker
from responses_app.payload_pages import PayloadPages

_LISTED = 20
_TURNS = 30
_DRAWN = 80
_DIGITS = 19
_DRAWN_BY = (
    "response_id", "conversation", "parent", "generation", "length", "compaction", "credential", "stored", "deleted_at",
    "created_at", "segment__parent", "segment__parent_length", "exchange__generation",
)  # fmt: skip


def _pair(whole: int | None, part: int | None) -> str:
    return markup.NOTHING if whole is None else f"{markup.figure(whole)} / {markup.figure(part)}"


@admin.register(Exchange)
class ExchangeAdmin(PayloadPages):
    """One row per request, and its post-mortem."""

    list_display = (
        "time",
        "api_key",
        "model",
        "credential",
        "how",
        "first_byte",
        "total",
        "tokens_in",
        "tokens_out",
    )
    list_filter = (OutcomeFilter, DayFilter, ("api_key", KeyFilter), ModelFilter, ("credential", CredentialFilter))
    list_select_related = ("api_key", "credential")
    ordering = ("-started_at",)
    sortable_by = ("time",)
    search_fields = ("request_id", "response_id")
    search_ids = ("request_id", "response_id")
    search_help_text = "A request id or response id, or at least four characters of its beginning."
    page_template = "console/exchange.html"

    @admin.display(description="time (UTC)", ordering="started_at")
    def time(self, exchange: Exchange) -> SafeString:
        """When it was accepted."""
        return markup.stamp(exchange.started_at)

    @admin.display(description="status")
    def how(self, exchange: Exchange) -> SafeString:
        """How it stands or ended, and with which error."""
        code = markup.clean(exchange.error_code) if exchange.error_code else ""
        return format_html("{} <small>{}</small>", outcome(exchange), code)

    @admin.display(description="first byte")
    def first_byte(self, exchange: Exchange) -> str:
        """From acceptance."""
        return markup.duration(exchange.first_byte_ms)

    @admin.display(description="total")
    def total(self, exchange: Exchange) -> str:
        """From acceptance to the end."""
        return markup.duration(exchange.total_ms)

    @admin.display(description="in / cached")
    def tokens_in(self, exchange: Exchange) -> str:
        """Tokens read, and how many of them from a cache."""
        return _pair(exchange.input_tokens, exchange.cached_tokens)

    @admin.display(description="out / reasoning")
    def tokens_out(self, exchange: Exchange) -> str:
        """Tokens written, and how many of them in reasoning."""
        return _pair(exchange.output_tokens, exchange.reasoning_tokens)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Exchange]:
        """With what a row or a page names."""
        return Exchange.objects.select_related("api_key", "credential", "conversation", "continued")

    def page(self, row: Exchange, request: HttpRequest) -> dict[str, Any]:
        """The snapshot it made, and its tables."""
        made = Snapshot.objects.filter(exchange=row).first()
        upstream = row.upstream_ids.items() if isinstance(row.upstream_ids, dict) else ()
        difference = first_difference(row)
        return {
            "made": made,
            "difference": difference,
            "captured": Payload.objects.filter(pk=row.pk).exists(),
            "cache": cache_history.reasons([row]).get(row.pk),
            "curl": repeating.curl(row, settings.FLOWAY_PUBLIC_URL),
            "unknown": repeating.unknown(row),
            "upstream_ids": [(markup.clean(name), value) for name, value in upstream],
        }


@admin.register(Conversation)
class ConversationAdmin(HistoryAdmin):
    """Lines of turns, by the path that names them."""

    list_display = ("path", "api_key", "credential", "window", "turns", "created", "used")
    list_filter = (UsedFilter, ("api_key", KeyFilter), ("credential", CredentialFilter))
    list_select_related = ("api_key", "credential")
    ordering = ("-last_used_at",)
    sortable_by = ("used",)
    page_template = "console/conversation.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """With how many turns each has settled."""
        turns = Snapshot.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation").annotate(n=Count("pk"))
        return Conversation.objects.select_related("api_key", "credential").annotate(settled=Subquery(turns.values("n")))

    @admin.display(description="conversation")
    def path(self, conversation: Conversation) -> SafeString:
        """Its scope, step by step."""
        return markup.steps(conversation.scope) or SafeString(f"conversation {conversation.pk}")

    @admin.display(description="window")
    def window(self, conversation: Conversation) -> int:
        """The current context window's number."""
        return conversation.generation

    @admin.display(description="turns")
    def turns(self, conversation: Any) -> str:
        """How many were settled."""
        return markup.figure(conversation.settled or 0)

    @admin.display(description="began (UTC)")
    def created(self, conversation: Conversation) -> SafeString:
        """When."""
        return markup.stamp(conversation.created_at)

    @admin.display(description="last turn (UTC)", ordering="last_used_at")
    def used(self, conversation: Conversation) -> SafeString:
        """When."""
        return markup.stamp(conversation.last_used_at)

    def page(self, row: Conversation, request: HttpRequest) -> dict[str, Any]:
        """Its lineage and its turns, each explained, the latest of them; and how much is kept."""
        before = request.GET.get("before", "")
        drawn = row.snapshots.select_related("segment", "exchange").only(*_DRAWN_BY).order_by("-pk")
        if before.isdecimal() and len(before) < _DIGITS:
            drawn = drawn.filter(pk__lt=int(before))
        snapshots = list(drawn[: _DRAWN + 1])
        current = row.snapshots.filter(generation=row.generation, deleted_at=None).order_by("-pk")
        exchanges = row.exchanges.select_related("credential").defer("identity", "upstream_ids", "attempts")
        turns = cache_history.explained(list(exchanges.order_by("-started_at")[:_TURNS])[::-1])
        return {
            "snapshots": snapshots[:_DRAWN][::-1],
            "older": snapshots[_DRAWN - 1].pk if len(snapshots) > _DRAWN else None,
            "before": before,
            "current": current.values_list("pk", flat=True).first(),
            "turns": turns,
            "listed": _TURNS,
            "kept": row.items.aggregate(items=Count("pk"), size=Sum(Length("sealed"))),
        }


@admin.register(Snapshot)
class SnapshotAdmin(HistoryAdmin):
    """Settled turns: what a continuation continues."""

    list_display = ("response", "api_key", "model", "before", "window", "length", "next", "kept", "created")
    list_filter = (SettledFilter, KeptFilter, CompactedFilter, ("api_key", KeyFilter))
    list_select_related = ("api_key", "parent", "continued_by")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("response_id",)
    search_ids = ("response_id",)
    search_help_text = "A response id, or at least four characters of its beginning."
    page_template = "console/snapshot.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        """With what a row or a page names."""
        return Snapshot.objects.select_related("api_key", "parent", "continued_by", "conversation", "credential", "exchange")

    @admin.display(description="response")
    def response(self, snapshot: Snapshot) -> SafeString:
        """Its public id."""
        return markup.short_id(snapshot.response_id)

    @admin.display(description="continues")
    def before(self, snapshot: Snapshot) -> SafeString:
        """The snapshot it went on from."""
        return markup.short_id(snapshot.parent.response_id if snapshot.parent else "")

    @admin.display(description="window")
    def window(self, snapshot: Snapshot) -> int:
        """The context window its continuation runs in."""
        return snapshot.generation

    @admin.display(description="continued by")
    def next(self, snapshot: Snapshot) -> SafeString:
        """The exchange that holds its window."""
        return markup.short_id(snapshot.continued_by.request_id if snapshot.continued_by else "")

    @admin.display(description="kept")
    def kept(self, snapshot: Snapshot) -> SafeString:
        """Whether a caller can name it."""
        if snapshot.deleted_at:
            return markup.badge("off", "deleted")
        return markup.badge("ok", "stored") if snapshot.stored else markup.badge("off", "route only")

    @admin.display(description="settled (UTC)")
    def created(self, snapshot: Snapshot) -> SafeString:
        """When."""
        return markup.stamp(snapshot.created_at)

    def page(self, row: Snapshot, request: HttpRequest) -> dict[str, Any]:
        """What went on from it."""
        return {"children": row.children.select_related("exchange").order_by("pk")[:_LISTED], "listed": _LISTED}


@admin.register(Item)
class ItemAdmin(HistoryAdmin):
    """Items. What is in one is shown when asked for, to those who may read it, and the audit log says so."""

    list_display = ("id", "conversation_number", "credential", "size", "created")
    list_filter = (CreatedFilter,)
    list_select_related = ("credential",)
    ordering = ("-id",)
    sortable_by = ()
    page_template = "console/item.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Item]:
        """Measured in the database; neither content nor hash is read."""
        rows = Item.objects.select_related("credential", "conversation").defer("sealed", "digest")
        return rows.annotate(sealed_bytes=Length("sealed"))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Nobody narrows a list by ciphertext or hashes."""
        return lookup.partition("__")[0] not in {"sealed", "digest"} and super().lookup_allowed(lookup, value, request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One item: its kind, size and digest; its content only when asked for."""
        read = reading.of(request, object_id) if self.has_view_permission(request) else None
        return super().change_view(request, object_id, form_url, {"reading": read, **(extra_context or {})})

    @admin.display(description="conversation")
    def conversation_number(self, item: Item) -> str:
        """Whose item it is."""
        return f"conversation {item.conversation_id}"

    @admin.display(description="sealed bytes")
    def size(self, item: Any) -> str:
        """How large it is at rest."""
        return markup.figure(item.sealed_bytes)

    @admin.display(description="created (UTC)")
    def created(self, item: Item) -> SafeString:
        """When."""
        return markup.stamp(item.created_at)


@admin.register(Worker)
class WorkerAdmin(HistoryAdmin):
    """The processes that serve, now."""

    list_display = ("process", "how", "turns", "started", "seen")
    ordering = ("host", "pid")
    sortable_by = ()
    page_template = "console/worker.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        """With how each stands."""
        return fleet.standing()

    @admin.display(description="process")
    def process(self, worker: Worker) -> str:
        """Where it runs."""
        return markup.clean(str(worker))

    @admin.display(description="status")
    def how(self, worker: Any) -> SafeString:
        """Does it live, and take turns?"""
        if not worker.lives:
            return markup.badge("bad", "not heard of")
        return markup.badge("busy", "draining") if worker.draining else markup.badge("ok", "serving")

    @admin.display(description="turns in flight")
    def turns(self, worker: Any) -> str:
        """How many it serves."""
        return markup.figure(worker.serving)

    @admin.display(description="started (UTC)")
    def started(self, worker: Worker) -> SafeString:
        """When."""
        return markup.stamp(worker.started_at)

    @admin.display(description="last heard of (UTC)")
    def seen(self, worker: Worker) -> SafeString:
        """When."""
        return markup.stamp(worker.seen_at)

    def page(self, row: Worker, request: HttpRequest) -> dict[str, Any]:
        """The latest turns that it serves."""
        serves = Exchange.objects.in_flight().filter(worker=row).select_related("api_key", "credential")
        return {"processes": [row], "exchanges": serves.order_by("-started_at")[:_LISTED]}

"""Conversations, snapshots and exchanges over the API. Content for those alone who may read it, asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit
from floway.console.api.base import Pages, Rows
from floway.sealing import CannotUnseal
from floway.wire.errors import ServiceError
from responses_app import content, reading
from responses_app.models import Conversation, Exchange, Snapshot


class Within(serializers.Serializer[Any]):
    """Narrowed by key and time; moments are ISO 8601."""

    key = serializers.IntegerField(required=False, help_text="An API key's number.")
    credential = serializers.IntegerField(required=False, help_text="A credential's number.")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class ExchangeQuery(Within):
    """Exchanges: what became of them, too."""

    model = serializers.CharField(required=False, max_length=128)
    status = serializers.ChoiceField(choices=Exchange.Status.choices, required=False)
    error_code = serializers.CharField(required=False, max_length=128)
    ended_by = serializers.ChoiceField(choices=Exchange.EndedBy.choices, required=False)
    conversation = serializers.IntegerField(required=False)
    request_id = serializers.CharField(required=False, max_length=64)
    response_id = serializers.CharField(required=False, max_length=64)


class SnapshotQuery(Within):
    """Snapshots of one conversation."""

    conversation = serializers.IntegerField(required=False)


class ConversationRow(serializers.ModelSerializer[Conversation]):
    """A line of turns. `scope` is how its provider names it."""

    class Meta:
        model = Conversation
        fields = ("id", "api_key", "provider", "scope", "credential", "generation", "created_at", "last_used_at")


class SnapshotRow(serializers.ModelSerializer[Snapshot]):
    """A settled turn, without what was said in it."""

    continues = serializers.CharField(source="parent.response_id", read_only=True, default=None)
    request_id = serializers.CharField(source="exchange.request_id", read_only=True, default=None)

    class Meta:
        model = Snapshot
        fields: tuple[str, ...] = (
            *(
                "response_id",
                "request_id",
                "api_key",
                "conversation",
                "credential",
                "continues",
                "model",
                "generation",
                "length",
            ),
            *("compaction", "stored", "created_at", "last_used_at", "deleted_at"),
        )


class SnapshotWithContent(SnapshotRow):
    """A settled turn; `items` where they were asked for."""

    items = serializers.ListField(child=serializers.DictField(), required=False)

    class Meta(SnapshotRow.Meta):
        fields = (*SnapshotRow.Meta.fields, "items")


class ExchangeRow(serializers.ModelSerializer[Exchange]):
    """One request of a caller's, and what became of it."""

    class Meta:
        model = Exchange
        fields: tuple[str, ...] = (
            *("request_id", "response_id", "api_key", "credential", "conversation", "provider", "action", "model", "streamed"),
            *("stored", "status", "ended_by", "last_event", "http_status", "error_code", "error_message", "operator_note"),
            *("dispatches", "input_items", "known_items", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
            *("started_at", "first_byte_ms", "total_ms", "finished_at"),
        )


class ExchangeWhole(ExchangeRow):
    """With how it was identified, changed and sent."""

    class Meta(ExchangeRow.Meta):
        fields = (*ExchangeRow.Meta.fields, "attempts", "identity", "changes", "upstream_ids")


class _ByStart(Pages):
    ordering = "-started_at"


@extend_schema_view(list=extend_schema(parameters=[Within]))
@extend_schema(tags=["conversations"])
class Conversations(Rows):
    """Conversations, the one begun last first. `since` and `until` are of their last turn."""

    queryset = Conversation.objects.all()
    serializer_class = ConversationRow
    query = Within
    lookups: ClassVar[Mapping[str, str]] = {
        "key": "api_key_id",
        "credential": "credential_id",
        "since": "last_used_at__gte",
        "until": "last_used_at__lt",
    }
    reads = "responses_app.view_conversation"


@extend_schema_view(list=extend_schema(parameters=[SnapshotQuery]))
@extend_schema(tags=["snapshots"])
class Snapshots(Rows):
    """Settled turns, the latest first."""

    queryset = Snapshot.objects.select_related("parent", "exchange").defer("answer", "chain", "metadata_json")
    serializer_class = SnapshotRow
    query = SnapshotQuery
    lookup_field = "response_id"
    lookups: ClassVar[Mapping[str, str]] = {
        "key": "api_key_id",
        "credential": "credential_id",
        "conversation": "conversation_id",
        "since": "created_at__gte",
        "until": "created_at__lt",
    }
    reads = "responses_app.view_snapshot"

    @extend_schema(
        parameters=[OpenApiParameter("content", bool, description="With its items: for who may read content; is recorded.")],
        responses=SnapshotWithContent,
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One settled turn."""
        snapshot: Snapshot = self.get_object()
        told = dict(self.get_serializer(snapshot).data)
        if request.query_params.get("content", "").lower() in {"true", "1"}:
            told["items"] = _items(request, snapshot)
        return Response(told)


def _items(request: Request, snapshot: Snapshot) -> Any:
    if not reading.may_read(request._request):
        raise exceptions.PermissionDenied("You may not read content.", code="content_denied")
    audit.record("content read", snapshot, conversation=snapshot.conversation_id)
    try:
        return content.expand(snapshot)
    except CannotUnseal as error:
        raise ServiceError("It cannot be read with the keys that are configured, or is damaged.") from error


@extend_schema_view(list=extend_schema(parameters=[ExchangeQuery]))
@extend_schema(tags=["exchanges"])
class Exchanges(Rows):
    """Requests of callers, the latest first. `since` and `until` are of their beginning."""

    queryset = Exchange.objects.all()
    serializer_class = ExchangeRow
    pagination_class = _ByStart
    query = ExchangeQuery
    lookup_field = "request_id"
    lookups: ClassVar[Mapping[str, str]] = {
        "key": "api_key_id",
        "credential": "credential_id",
        "since": "started_at__gte",
        "until": "started_at__lt",
        **{name: name for name in ("model", "status", "error_code", "ended_by", "request_id", "response_id")},
        "conversation": "conversation_id",
    }
    reads = "responses_app.view_exchange"

    def get_serializer_class(self) -> type[ExchangeRow]:
        """All of one, the outline of many."""
        return ExchangeWhole if self.detail else ExchangeRow

    def get_queryset(self) -> QuerySet[Exchange]:
        """Only the columns that are told."""
        return Exchange.objects.only("pk", *self.get_serializer_class().Meta.fields)

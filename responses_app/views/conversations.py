"""The doors of the Conversations API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from floway.wire.errors import InvalidRequest
from floway.wire.json import JSON, JSONObject
from responses_app import conversing
from responses_app.acceptance import checked_items, checked_metadata, input_items
from responses_app.http import NO_STORE, read_json_object
from responses_app.listing import Page, checked_include, whole_list
from responses_app.views.base import ApiView

_MOST_ITEMS = 20


class _ConversationsApi(ApiView):
    def body(self, request: Request) -> JSONObject:
        """The request's body; none is as good as an empty one."""
        plain = request._request
        length = plain.META.get("CONTENT_LENGTH")
        if length == "0" or (not length and not plain.META.get("wsgi.input_terminated")):
            return {}
        return read_json_object(plain, settings.FLOWAY_MAX_BODY_BYTES)

    def answer(self, document: dict[str, Any]) -> Response:
        """A document of the caller's."""
        return Response(document, headers=NO_STORE)


class ConversationsView(_ConversationsApi):
    """`POST /v1/conversations`."""

    def post(self, request: Request) -> Response:
        """A new conversation."""
        body = self.body(request)
        items, metadata = _items(body.get("items") or []), checked_metadata(body.get("metadata"))
        return self.answer(conversing.shown(conversing.create(self.key_of(request), items, metadata, self.clock.now())))


class ConversationView(_ConversationsApi):
    """`/v1/conversations/{id}`."""

    def get(self, request: Request, conversation_id: str) -> Response:
        """The conversation."""
        return self.answer(conversing.shown(conversing.find(self.key_of(request).pk, conversation_id)))

    def post(self, request: Request, conversation_id: str) -> Response:
        """Replace its metadata."""
        body = self.body(request)
        if "metadata" not in body:
            message = "Missing required parameter: 'metadata'."
            raise InvalidRequest(message, param="metadata", code="missing_required_parameter")
        metadata = checked_metadata(body["metadata"])
        return self.answer(conversing.shown(conversing.update(self.key_of(request).pk, conversation_id, metadata)))

    def delete(self, request: Request, conversation_id: str) -> Response:
        """Make it unknown."""
        conversing.delete(self.key_of(request).pk, conversation_id, self.clock.now())
        return self.answer({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


class ConversationItemsView(_ConversationsApi):
    """`/v1/conversations/{id}/items`."""

    def get(self, request: Request, conversation_id: str) -> Response:
        """Its items, newest first unless asked otherwise."""
        page = Page.of(request.query_params)
        return self.answer(page.shown(conversing.items(conversing.find(self.key_of(request).pk, conversation_id))))

    def post(self, request: Request, conversation_id: str) -> Response:
        """Add items."""
        checked_include(request.query_params)
        added = _items(self.body(request).get("items"))
        if not added:
            raise InvalidRequest("'items' must hold at least one item.", param="items", code="invalid_value")
        return self.answer(whole_list(conversing.add(self.key_of(request).pk, conversation_id, added)))


class ConversationItemView(_ConversationsApi):
    """`/v1/conversations/{id}/items/{item_id}`."""

    def get(self, request: Request, conversation_id: str, item_id: str) -> Response:
        """One item."""
        checked_include(request.query_params)
        return self.answer(conversing.item(conversing.find(self.key_of(request).pk, conversation_id), item_id))

    def delete(self, request: Request, conversation_id: str, item_id: str) -> Response:
        """Take it out; what is answered is the conversation."""
        return self.answer(conversing.shown(conversing.remove(self.key_of(request).pk, conversation_id, item_id)))


def _items(value: JSON) -> list[JSON]:
    if not isinstance(value, list) or len(value) > _MOST_ITEMS:
        raise InvalidRequest(f"'items' must be a list of at most {_MOST_ITEMS} items.", param="items", code="invalid_value")
    checked_items(value, "items")
    for index, item in enumerate(value):
        if not (item.get("type") or item.get("role")):
            raise InvalidRequest(f"'items[{index}]' has no 'type'.", param=f"items[{index}]", code="invalid_value")
        if item.get("type") == "item_reference":
            message = "An item reference cannot stand in a conversation."
            raise InvalidRequest(message, param=f"items[{index}]", code="invalid_value")
    return input_items(value)

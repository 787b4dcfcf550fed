"""What may be asked for, as the description tells it: a line for each door."""

from __future__ import annotations

from typing import Any

from responses_app.openapi.failures import failures
from responses_app.openapi.schemas import FLAG, TEXT, Schema, listed, one_of, ref, shaped

_BODY = (400, 413, 415)
_TURN = (*_BODY, 403, 404, 409, 422, 424, 502, 504)
_EVENTS = {
    "schema": {
        **shaped({"event": TEXT, "data": {**TEXT, "contentMediaType": "application/json"}}),
        "description": "Each event of the stream. They are numbered from 0 without gaps; a terminal one is the last.",
    }
}


def _operation(
    name: str,
    summary: str,
    answer: str,
    *,
    tag: str,
    takes: str | None = None,
    optional: bool = False,
    more: dict[str, Any] | None = None,
    query: list[Any] | None = None,
    fails: tuple[int, ...] = (),
) -> dict[str, Any]:
    content = {"application/json": {"schema": ref(answer)}, **(more or {})}
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": {"200": {"description": "Done.", "content": content}, **failures(*fails)},
    }
    if query:
        operation["parameters"] = query
    if takes:
        schema = {"application/json": {"schema": ref(takes)}}
        operation["requestBody"] = {"required": not optional, "content": schema}
    return operation


def _query(name: str, schema: Schema, text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _at(*names: str) -> dict[str, Any]:
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]}


_INCLUDE = _query("include", listed(TEXT), "What could be included always is.")
_PAGE = [
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "How many."),
    _query("order", {**one_of("asc", "desc"), "default": "desc"}, "Newest first, or oldest."),
    _query("after", TEXT, "The id of an item of the list."),
    _query("before", TEXT, "The id of an item of the list."),
    _INCLUDE,
]
_IDEMPOTENCY = {"name": "Idempotency-Key", "in": "header", "schema": {**TEXT, "minLength": 1, "maxLength": 255}}
_FOLLOW = [
    _query("stream", FLAG, "The events of a response in the background."),
    _query(
        "starting_after", {"type": "integer", "minimum": 0, "maximum": 999_999_999}, "The number of the last event you have."
    ),
    _INCLUDE,
]
_R, _C, _M = "responses", "conversations", "models"

_UPGRADE = {
    "operationId": "connect",
    "summary": "Open a WebSocket that takes turns, one after the other.",
    "description": "With `Upgrade: websocket`. Each text message `response.create` is a turn; each event comes as one message.",
    "tags": [_R],
    "responses": {
        "101": {"description": "The connection is open."},
        "405": {"description": "No upgrade was asked for.", "content": {"application/json": {"schema": ref("Error")}}},
        **failures(400, 403, 426),
    },
}

PATHS: dict[str, Any] = {
    "/responses": {
        "post": _operation(
            *("createResponse", "Take a turn.", "Response"),
            tag=_R,
            takes="CreateResponse",
            more={"text/event-stream": _EVENTS},
            query=[_IDEMPOTENCY],
            fails=_TURN,
        ),
        "get": _UPGRADE,
    },
    "/responses/compact": {
        "post": _operation(
            *("compactResponse", "Compact a conversation to what it consists of from now on.", "Compaction"),
            tag=_R,
            takes="CompactResponse",
            fails=_TURN,
        ),
    },
    "/responses/input_tokens": {
        "post": {
            "operationId": "countInputTokens",
            "summary": "Refused: the upstream tells what an input cost only with its answer.",
            "tags": [_R],
            "responses": failures(400),
        },
    },
    "/responses/{response_id}": {
        **_at("response_id"),
        "get": _operation(
            *("getResponse", "The response as it was answered, or as it stands.", "Response"),
            tag=_R,
            more={"text/event-stream": _EVENTS},
            query=_FOLLOW,
            fails=(400, 404),
        ),
        "delete": _operation("deleteResponse", "Make it unknown.", "DeletedResponse", tag=_R, fails=(404,)),
    },
    "/responses/{response_id}/input_items": {
        **_at("response_id"),
        "get": _operation("listInputItems", "What it was made of.", "ItemList", tag=_R, query=_PAGE, fails=(400, 404)),
    },
    "/responses/{response_id}/cancel": {
        **_at("response_id"),
        "post": _operation("cancelResponse", "End a response in the background.", "Response", tag=_R, fails=(400, 404)),
    },
    "/conversations": {
        "post": _operation(
            *("createConversation", "Make a conversation.", "Conversation"),
            tag=_C,
            takes="NewConversation",
            optional=True,
            fails=_BODY,
        ),
    },
    "/conversations/{conversation_id}": {
        **_at("conversation_id"),
        "get": _operation("getConversation", "The conversation.", "Conversation", tag=_C, fails=(404,)),
        "post": _operation(
            *("updateConversation", "Replace its metadata.", "Conversation"),
            tag=_C,
            takes="ChangedConversation",
            fails=(*_BODY, 404),
        ),
        "delete": _operation("deleteConversation", "Make it unknown.", "DeletedConversation", tag=_C, fails=(404,)),
    },
    "/conversations/{conversation_id}/items": {
        **_at("conversation_id"),
        "get": _operation("listItems", "Its items.", "ItemList", tag=_C, query=_PAGE, fails=(400, 404)),
        "post": _operation(
            *("createItems", "Add items.", "ItemList"),
            tag=_C,
            takes="NewItems",
            query=[_INCLUDE],
            fails=(*_BODY, 404, 409),
        ),
    },
    "/conversations/{conversation_id}/items/{item_id}": {
        **_at("conversation_id", "item_id"),
        "get": _operation("getItem", "One item.", "ListedItem", tag=_C, query=[_INCLUDE], fails=(400, 404)),
        "delete": _operation("deleteItem", "Take it out.", "Conversation", tag=_C, fails=(404, 409)),
    },
    "/models": {"get": _operation("listModels", "The models that the key may name.", "ModelList", tag=_M, fails=(502, 504))},
    "/models/{model_id}": {
        **_at("model_id"),
        "get": _operation("getModel", "One model.", "Model", tag=_M, fails=(404, 502, 504)),
    },
}

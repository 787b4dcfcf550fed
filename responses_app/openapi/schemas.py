"""What bodies and answers consist of, as the description tells it."""

from __future__ import annotations

from typing import Any

from floway.wire.objects import PUBLIC_RESPONSE_KEYS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
ANYTHING: Schema = {"description": "Passed as it is."}


def ref(name: str) -> Schema:
    """A schema of the document, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*values: str) -> Schema:
    """One of a few words."""
    return {"type": "string", "enum": list(values)}


def listed(item: Schema) -> Schema:
    """A list of such."""
    return {"type": "array", "items": item}


def shaped(required: Schema, optional: Schema | None = None, *, closed: bool = False) -> Schema:
    """An object; what is not named may be there too, unless it is closed."""
    schema = {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}
    return {**schema, "additionalProperties": False} if closed else schema


def _said(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


_STATUS = one_of("queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
_METADATA = {
    "type": "object",
    "maxProperties": 16,
    "propertyNames": {"maxLength": 64},
    "additionalProperties": {"type": "string", "maxLength": 512},
}
_ITEMS = listed(ref("Item"))
_DROPPED = "The backend takes none: left out, echoed, and named in `x-floway-dropped-parameters`; 400 for a strict key."

PARAMETERS: dict[str, Schema] = {
    "access_programs": ANYTHING,
    "background": _said(or_null(FLAG), "Answered at once; see how it stands by its id. Needs `store`."),
    "background_options": _said(or_null(OBJECT), 'Refused, other than `{"completion_window": "soonest"}`.'),
    "context_management": or_null(listed(OBJECT)),
    "conversation": _said(
        or_null({"anyOf": [TEXT, shaped({"id": TEXT})]}), "Not beside `previous_response_id` or `store: false`."
    ),
    "image": ANYTHING,
    "include": or_null(listed(TEXT)),
    "input": _said({"anyOf": [TEXT, _ITEMS]}, "Text, or items. No URL in them is fetched by the gateway."),
    "instructions": or_null(TEXT),
    "max_output_tokens": _said(or_null({"type": "integer", "minimum": 16}), _DROPPED),
    "max_tool_calls": or_null({"type": "integer", "minimum": 1}),
    "metadata": or_null(_METADATA),
    "model": _said({"type": "string", "minLength": 1}, "One of `GET /models`."),
    "moderation": ANYTHING,
    "parallel_tool_calls": or_null(FLAG),
    "previous_response_id": _said(or_null(TEXT), "A stored response to go on from."),
    "prompt": _said(or_null(OBJECT), "Refused: prompt templates are kept by another service."),
    "prompt_cache_key": or_null(TEXT),
    "prompt_cache_options": _said(or_null(OBJECT), _DROPPED),
    "prompt_cache_retention": _said(or_null(TEXT), _DROPPED),
    "reasoning": or_null(OBJECT),
    "safety_identifier": _said(or_null(TEXT), _DROPPED),
    "service_tier": or_null(TEXT),
    "store": or_null(FLAG),
    "stream": _said(or_null(FLAG), "Answered with events, and with an error's status where it fails before the first."),
    "stream_options": _said(or_null(OBJECT), _DROPPED),
    "temperature": _said(or_null({"type": "number", "minimum": 0, "maximum": 2}), _DROPPED),
    "text": _said(or_null(OBJECT), "`format` with `json_schema` for structured outputs."),
    "tool_choice": or_null({"anyOf": [TEXT, OBJECT]}),
    "tools": or_null(listed(shaped({"type": TEXT}))),
    "top_logprobs": or_null({"type": "integer", "minimum": 0, "maximum": 20}),
    "top_p": _said(or_null({"type": "number", "minimum": 0, "maximum": 1}), _DROPPED),
    "truncation": _said(or_null(one_of("auto", "disabled")), "`auto` is dropped: too long an input is refused, never cut."),
    "user": _said(or_null(TEXT), _DROPPED),
}
"""Of `POST /responses`. The table in the docs tells the same, and a test holds them together."""

_OF_ITEM = {"id": TEXT, "type": TEXT, "role": one_of("user", "assistant", "system", "developer"), "status": TEXT}
_RESPONSE: dict[str, Schema] = {
    **dict.fromkeys(PUBLIC_RESPONSE_KEYS, ANYTHING),
    "id": TEXT,
    "object": {"const": "response"},
    "created_at": COUNT,
    "completed_at": or_null(COUNT),
    "status": _STATUS,
    "incomplete_details": or_null(OBJECT),
    "model": TEXT,
    "previous_response_id": or_null(TEXT),
    "output": listed(ref("OutputItem")),
    "error": or_null(shaped({"code": TEXT, "message": TEXT})),
    "tools": listed(OBJECT),
    "parallel_tool_calls": FLAG,
    "text": OBJECT,
    "usage": or_null(ref("Usage")),
    "store": FLAG,
    "background": FLAG,
    "metadata": OBJECT,
}
_LIST = {"object": {"const": "list"}, "first_id": or_null(TEXT), "last_id": or_null(TEXT), "has_more": FLAG}

SCHEMAS: dict[str, Schema] = {
    "Error": shaped(
        {"error": shaped({"message": TEXT, "type": TEXT, "param": or_null(TEXT), "code": or_null(TEXT)})},
    ),
    "Item": _said(
        {"type": "object", "properties": {**_OF_ITEM, "content": {"anyOf": [TEXT, listed(OBJECT)]}}},
        "A message, a call, what a tool answered, reasoning, a compaction, or a reference: the public API's input items.",
    ),
    "ListedItem": _said(shaped({"id": TEXT, "type": TEXT}), "The same, complete, under an id that stays."),
    "OutputItem": shaped({"id": TEXT, "type": TEXT}),
    "Usage": shaped(
        {
            "input_tokens": COUNT,
            "input_tokens_details": shaped({"cached_tokens": COUNT, "cache_write_tokens": COUNT}),
            "output_tokens": COUNT,
            "output_tokens_details": shaped({"reasoning_tokens": COUNT}),
            "total_tokens": COUNT,
        }
    ),
    "CreateResponse": shaped({"model": PARAMETERS["model"]}, PARAMETERS),
    "Response": shaped(_RESPONSE),
    "CompactResponse": shaped(
        {"model": PARAMETERS["model"]},
        {name: PARAMETERS[name] for name in ("input", "instructions", "previous_response_id", "prompt_cache_key")},
    ),
    "Compaction": shaped(
        {
            "id": TEXT,
            "object": {"const": "response.compaction"},
            "created_at": COUNT,
            "output": listed(OBJECT),
            "usage": ref("Usage"),
        },
    ),
    "DeletedResponse": shaped({"id": TEXT, "object": {"const": "response"}, "deleted": {"const": True}}),
    "ItemList": shaped({**_LIST, "data": listed(ref("ListedItem"))}),
    "NewConversation": shaped({}, {"metadata": or_null(_METADATA), "items": or_null({**_ITEMS, "maxItems": 20})}),
    "ChangedConversation": shaped({"metadata": or_null(_METADATA)}),
    "NewItems": shaped({"items": {**_ITEMS, "minItems": 1, "maxItems": 20}}),
    "Conversation": shaped(
        {
            "id": TEXT,
            "object": {"const": "conversation"},
            "created_at": COUNT,
            "metadata": {**OBJECT, "additionalProperties": TEXT},
        },
    ),
    "DeletedConversation": shaped({"id": TEXT, "object": {"const": "conversation.deleted"}, "deleted": {"const": True}}),
    "Model": shaped({"id": TEXT, "object": {"const": "model"}, "created": COUNT, "owned_by": TEXT}),
    "ModelList": shaped({"object": {"const": "list"}, "data": listed(ref("Model"))}),
}

"""The errors that the description tells of, by status, each with examples as they are answered."""

from __future__ import annotations

from typing import Any

from responses_app.openapi.schemas import ref

_REQUEST = "invalid_request_error"


def _error(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"value": {"error": {"message": message, "type": kind, "param": param, "code": code}}}


_ABOUT = {
    400: "The request cannot pass; `param` names what is at fault.",
    401: "No key, or one that is unknown, revoked or expired.",
    403: "The key may not do this.",
    404: "There is no such thing for this key.",
    409: "Not now: something else is in flight.",
    413: "The body is too large.",
    415: "The body's encoding is not accepted.",
    422: "The idempotency key belongs to another body.",
    424: "An upstream failure, told so to an official client, which would try a 5xx too often.",
    426: "No WebSocket here, or none more; POST goes on.",
    429: "Too many requests, or nothing left of a budget or the subscription.",
    500: "The gateway failed.",
    502: "The upstream gave no answer that is one.",
    503: "Nothing can serve this now.",
    504: "The upstream took too long.",
}
_EXAMPLES: dict[int, dict[str, Any]] = {
    400: {
        "parameter": _error("'limit' must be a number from 1 to 100.", _REQUEST, "invalid_value", "limit"),
        "previous response": _error(
            "Previous response with id 'resp_1' not found.", _REQUEST, "previous_response_not_found", "previous_response_id"
        ),
    },
    401: {"key": _error("Incorrect API key provided.", "authentication_error", "invalid_api_key")},
    404: {
        "object": _error("Response with id 'resp_1' not found.", _REQUEST, "not_found"),
        "model": _error("The model 'x' does not exist or you do not have access to it.", _REQUEST, "model_not_found", "model"),
    },
    409: {"locked": _error("Another turn of the conversation is in flight.", _REQUEST, "conversation_locked")},
    413: {"body": _error("The request body is too large.", _REQUEST, "request_too_large")},
    429: {
        "slow down": _error("Rate limit reached.", "requests", "rate_limit_exceeded"),
        "spent": _error("The budget of this key is spent.", "insufficient_quota", "insufficient_quota"),
    },
    503: {"full": _error("The gateway is overloaded.", "server_error", "server_is_overloaded")},
}
_RETRY_AFTER = {"retry-after": {"description": "Seconds.", "schema": {"type": "string"}}}
_SHOULD_RETRY = {"x-should-retry": {"description": "`false`: the same request will fail again.", "schema": {"type": "string"}}}


def failures(*statuses: int) -> dict[str, Any]:
    """The `responses` of an operation that may fail in these ways; a missing key and a gateway that fails are everywhere."""
    return {str(status): _failure(status) for status in sorted({401, 429, 500, 503, *statuses})}


def _failure(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": ref("Error")}
    if status in _EXAMPLES:
        content["examples"] = _EXAMPLES[status]
    return {
        "description": _ABOUT[status],
        "headers": _SHOULD_RETRY | (_RETRY_AFTER if status in {409, 424, 429, 503} else {}),
        "content": {"application/json": content},
    }

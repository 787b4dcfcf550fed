"""What the backend was seen to refuse, with the bodies that public reports quote. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from floway.providers.codex.simulated.answers import ciphertext_owner
from floway.wire.json import JSONObject

MODELS = ("gpt-5.5", "gpt-6.1-sol", "gpt-5.6-luna")

UNSUPPORTED = (
    "max_output_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_retention",
    "prompt_cache_options",
    "truncation",
    "stream_options",
    "previous_response_id",
)

_ID_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
    "additional_tools": "at",
}
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status and a JSON body."""

    status: int
    body: JSONObject


def refusal(body: Any, account_id: str) -> Refusal | None:
    """The first reason not to answer `body`, or None."""
    return next(_refusals(body, account_id), None)


def unauthorized(code: str, message: str) -> Refusal:
    """401, as the backend words it."""
    return Refusal(401, {"error": {"message": message, "type": None, "code": code, "param": None}, "status": 401})


def _refusals(body: Any, account_id: str) -> Iterator[Refusal]:
    if not isinstance(body, dict):
        yield _detail("Request body is not an object")
        return
    if body.get("stream") is not True:
        yield _detail("Stream must be set to true")
    if body.get("store") is not False:
        yield _detail("Store must be set to false")
    for name in UNSUPPORTED:
        if name in body:
            yield _detail(f"Unsupported parameter: {name}")
    if not isinstance(body.get("input"), list):
        yield _detail("Input must be a list")
        return
    if body.get("model") not in MODELS:
        yield _detail(f"The '{body.get('model')}' model is not supported when using Codex with a ChatGPT account.")
    for index, item in enumerate(body["input"]):
        yield from _of_item(index, item, account_id)


def _of_item(index: int, item: Any, account_id: str) -> Iterator[Refusal]:
    if not isinstance(item, Mapping):
        yield _invalid(f"Invalid type for 'input[{index}]': expected an object.", f"input[{index}]", "invalid_type")
        return
    if item.get("role") == "system":
        yield _detail("System messages are not allowed")
    kind = item.get("type", "message")
    if kind == "item_reference" or (kind == "reasoning" and not item.get("encrypted_content")):
        yield Refusal(404, _error(f"Item with id '{item.get('id')}' not found. Items are not persisted.", "input", None))
    owner = ciphertext_owner(item.get("encrypted_content"))
    if owner is not None and owner != account_id:
        message = "The encrypted content could not be verified. Reason: it could not be decrypted or parsed."
        yield _invalid(message, None, "invalid_encrypted_content")
    yield from _of_id(index, kind, item.get("id"))


def _of_id(index: int, kind: Any, item_id: Any) -> Iterator[Refusal]:
    if item_id is None:
        return
    prefix = _ID_PREFIXES.get(kind)
    if not isinstance(item_id, str) or (prefix and not item_id.startswith(prefix)):
        message = f"Invalid 'input[{index}].id': {item_id!r}. Expected an ID that begins with '{prefix}'."
        yield _invalid(message, f"input[{index}].id", "invalid_value")
    elif len(item_id) > _LONGEST_ID:
        message = f"Invalid 'input[{index}].id': string too long. Expected a string with maximum length {_LONGEST_ID}."
        yield _invalid(message, f"input[{index}].id", "string_above_max_length")


def _detail(text: str) -> Refusal:
    return Refusal(400, {"detail": text})


def _invalid(message: str, param: str | None, code: str) -> Refusal:
    return Refusal(400, _error(message, param, code))


def _error(message: str, param: str | None, code: str | None) -> JSONObject:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}

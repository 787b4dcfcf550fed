"""Public Response objects, output items and content parts: completed to what clients of the public API rely on.

An object echoes what the caller sent, never what the upstream echoes: that holds what was added on the way there. The model
is the caller's too, for a caller compares it with what it asked for, and the upstream's slug may be another name.
"""

from __future__ import annotations

from floway.wire.events import COMPLETED, ERROR, FAILED, INCOMPLETE, QUEUED, count
from floway.wire.json import JSON, JSONObject

PUBLIC_RESPONSE_KEYS = (
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
)

# What the public API answers where the caller said nothing, or null.
_DEFAULTS: dict[str, JSON] = {
    "model": "",
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "temperature": 1.0,
    "store": True,
    "background": False,
    "metadata": {},
}
# Not among the keys every client expects, but a caller that sent one looks for it.
_ECHOED = {*PUBLIC_RESPONSE_KEYS, "user", "prompt", "prompt_cache_retention", "conversation"}
_UNSAID: dict[str, JSON] = {key: _DEFAULTS.get(key) for key in PUBLIC_RESPONSE_KEYS}
_STATUS = {COMPLETED: "completed", INCOMPLETE: "incomplete", FAILED: "failed", QUEUED: "queued"}
_ID_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "compaction": "cmp",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "image_generation_call": "ig",
    "code_interpreter_call": "ci",
    "computer_call": "cu",
    "local_shell_call": "lsh",
}
_EMPTY: dict[str, dict[str, JSON]] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}


def echoed(request: JSONObject) -> dict[str, JSON]:
    """What every Response object to this request says, whatever comes of it."""
    base = _UNSAID | {key: value for key, value in request.items() if value is not None and key in _ECHOED}
    base["tools"] = [_complete_tool(tool) for tool in base["tools"]] if isinstance(base["tools"], list) else []
    if isinstance(base.get("conversation"), str):
        base["conversation"] = {"id": base["conversation"]}
    if isinstance(base["text"], dict):
        base["text"] = {**_DEFAULTS["text"], **base["text"]}
    return base


def complete_response(
    base: JSONObject,
    event: str,
    upstream: JSONObject,
    *,
    response_id: str,
    created_at: int,
    completed_at: int | None,
    output: list[JSON],
) -> dict[str, JSON]:
    """The Response object of a lifecycle event.

    :param base: what `echoed` gave. :param upstream: the upstream's object; status, timing, usage, error, the tier that
        served and the effort in force come from it.
    :param completed_at: Unix seconds, where the upstream says nothing. :param output: the finished items, complete.
    """
    details, tier = upstream.get("incomplete_details"), upstream.get("service_tier")
    return {
        **base,
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "completed_at": count(upstream.get("completed_at")) or completed_at if event == COMPLETED else None,
        "status": _STATUS.get(event, "in_progress"),
        "incomplete_details": details if event == INCOMPLETE and isinstance(details, dict) else None,
        "output": output,
        "error": complete_error(upstream.get("error")) if event == FAILED else None,
        "reasoning": _reasoning(base.get("reasoning"), upstream.get("reasoning")),
        "usage": complete_usage(upstream.get("usage")),
        "service_tier": tier if isinstance(tier, str) else base.get("service_tier") or "auto",
    }


def complete_usage(usage: JSON) -> dict[str, JSON] | None:
    """Usage with every detail that clients subtract; None where nothing is known."""
    if not isinstance(usage, dict):
        return None
    spent, made = count(usage.get("input_tokens")) or 0, count(usage.get("output_tokens")) or 0
    total = count(usage.get("total_tokens"))
    return {
        "input_tokens": spent,
        "input_tokens_details": _counts(usage.get("input_tokens_details"), "cached_tokens", "cache_write_tokens"),
        "output_tokens": made,
        "output_tokens_details": _counts(usage.get("output_tokens_details"), "reasoning_tokens"),
        "total_tokens": spent + made if total is None else total,
    }


def complete_error(error: JSON) -> dict[str, JSON]:
    """The error of a failed response: `code` and `message`, both strings."""
    error = error if isinstance(error, dict) else {}
    code = next((error[key] for key in ("code", "type") if isinstance(error.get(key), str) and error[key]), "server_error")
    message = error.get("message")
    return {"code": code, "message": message if isinstance(message, str) else "The upstream reported a failure."}


def bare_error(error: JSON) -> JSON:
    """The error object alone, where it came as the event itself; None where it is none."""
    if not isinstance(error, dict):
        return None
    return {key: value for key, value in error.items() if key != "sequence_number" and (key, value) != ("type", ERROR)}


def complete_item(item: JSONObject, item_id: str, status: str) -> dict[str, JSON]:
    """An output item under `item_id`; `status` where its type has one and the upstream gave none.

    Reasoning and compaction have none in the public API, and one added here would come back in a later request's input.
    """
    kind = item.get("type")
    full = {**item, "id": item_id}
    if isinstance(kind, str) and (kind == "message" or kind.endswith("_call")) and not isinstance(item.get("status"), str):
        full["status"] = status
    if kind == "message":
        full.setdefault("role", "assistant")
        full["content"] = [complete_part(part) for part in item["content"]] if isinstance(item.get("content"), list) else []
    elif kind == "reasoning" and not isinstance(item.get("summary"), list):
        full["summary"] = []
    elif kind == "function_call":
        full.setdefault("arguments", "")
    return full


def opened_item(item: JSONObject) -> dict[str, JSON]:
    """The item as it was announced before anything of it had come: a finished one, emptied."""
    opened = {**item, **_EMPTY.get(str(item.get("type")), {})}
    if "status" in opened:
        opened["status"] = "in_progress"
    return opened


def complete_part(part: JSON) -> JSON:
    """A content part; output text always has its text and its annotations."""
    if not isinstance(part, dict) or part.get("type") != "output_text":
        return part
    full = {**part}
    full.setdefault("text", "")
    if not isinstance(full.get("annotations"), list):
        full["annotations"] = []
    return full


def opened_part(kind: str) -> dict[str, JSON]:
    """A content part before anything of it has come."""
    if kind == "refusal":
        return {"type": kind, "refusal": ""}
    opened: dict[str, JSON] = complete_part({"type": kind, "text": ""})
    return opened


def id_prefix(kind: JSON) -> str:
    """How the public API's ids of such items begin."""
    return _ID_PREFIXES.get(kind, "item") if isinstance(kind, str) else "item"


def _complete_tool(tool: JSON) -> JSON:
    if isinstance(tool, dict) and tool.get("type") == "function":
        return {"description": None, "parameters": None, "strict": None, **tool}
    return tool


def _reasoning(asked: JSON, used: JSON) -> JSON:
    effort = used.get("effort") if isinstance(used, dict) else None
    return {"effort": effort, "summary": None, **(asked if isinstance(asked, dict) else {})}


def _counts(details: JSON, *keys: str) -> dict[str, JSON]:
    details = details if isinstance(details, dict) else {}
    return {**details, **{key: count(details.get(key)) or 0 for key in keys}}

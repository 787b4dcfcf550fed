"""What the simulated model answers: a request in, the events of its answer out. Pure; ids and time are arguments.

The events have the shape that the backend was seen to send: numbered public events with vendor events between them, and a
completed response whose `output` is empty.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from floway.providers.codex.simulated.fitting import instance
from floway.wire.json import JSON, JSONObject

LABEL = "This is the Floway demo upstream, a simulation: no model was asked."
_CALL = re.compile(r"\bcall ([A-Za-z_][\w-]*)(?: with (\{.*\}))?", re.DOTALL)
_BYTES_PER_TOKEN = 4
QUOTA = {"primary": (12, 300), "secondary": (34, 10080)}
"""Windows: per cent used, minutes."""
_CIPHER_MARK = "gAAAAA-simulated."

Event = dict[str, Any]


@dataclass(slots=True)
class Ids:
    """Ids of one answer, counted up under one seed."""

    seed: str
    drawn: int = 0

    def draw(self, prefix: str) -> str:
        """The next id."""
        self.drawn += 1
        return f"{prefix}_{self.seed}{self.drawn:04x}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to the simulated model.

    :param account_id: who asks; ciphertext of the answer is bound to it.
    :param created_at: Unix seconds.
    :param cached_tokens: how much of the input the simulation says it had at hand.
    """

    body: JSONObject
    account_id: str
    created_at: int
    ids: Ids
    cached_tokens: int = 0
    input: Sequence[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "input", self.body.get("input") or [])


def events(turn: Turn) -> Iterator[Event]:
    """The answer, event by event. An event without `type` stands for a line that carries no data."""
    response_id = turn.ids.draw("resp")
    output = list(_output(turn))
    public = _public(_response(turn, response_id, "in_progress"), output)
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(public))
    yield next(numbered)
    yield _rate_limits(turn.created_at)
    yield {"type": "response.metadata", "headers": {"openai-model": turn.body.get("model")}}
    number = 0
    for event in numbered:
        number = event["sequence_number"]
        yield event
    yield {"type": "responsesapi.timing", "total_ms": 12}
    yield {}
    done = {**_response(turn, response_id, "completed"), "output": [], "usage": usage(turn, output)}
    yield {"type": "response.completed", "response": done, "sequence_number": number + 1}


def usage(turn: Turn, output: Sequence[JSONObject]) -> dict[str, Any]:
    """Tokens, by a rule of thumb: four bytes each."""
    asked, answered = tokens(turn.input), tokens(output)
    reasoning = tokens([item for item in output if item["type"] == "reasoning"]) if output else 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": min(turn.cached_tokens, asked)},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": asked + answered,
    }


def tokens(value: Any) -> int:
    """How many tokens a value would cost."""
    return -(-len(json.dumps(value)) // _BYTES_PER_TOKEN)


def ciphertext(account_id: str, text: str) -> str:
    """An opaque string that only `account_id` may send back."""
    return _CIPHER_MARK + base64.urlsafe_b64encode(f"{account_id} {text}".encode()).decode()


def ciphertext_owner(cipher: Any) -> str | None:
    """Which account a string was issued to; None where it is none of ours."""
    if not isinstance(cipher, str) or not cipher.startswith(_CIPHER_MARK):
        return None
    try:
        return base64.urlsafe_b64decode(cipher.removeprefix(_CIPHER_MARK)).decode().partition(" ")[0]
    except ValueError:
        return ""


def user_texts(items: Sequence[Any]) -> list[str]:
    """What the user has written so far, without what a client states about its surroundings."""
    texts = [text_of(item) for item in items if isinstance(item, Mapping) and item.get("role") == "user"]
    return [text for text in texts if text and not text.startswith("<")]


def text_of(item: Mapping[str, Any]) -> str:
    """A message's text."""
    content = item.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or [] if isinstance(part, Mapping))


def _output(turn: Turn) -> Iterator[dict[str, Any]]:
    last = turn.input[-1] if turn.input else {}
    if last.get("type") == "compaction_trigger":
        sealed = ciphertext(turn.account_id, f"summary of {len(turn.input) - 1} items")
        yield {"id": turn.ids.draw("cmp"), "type": "compaction", "encrypted_content": sealed}
        return
    if "reasoning.encrypted_content" in (turn.body.get("include") or []):
        sealed = ciphertext(turn.account_id, turn.ids.seed)
        yield {"id": turn.ids.draw("rs"), "type": "reasoning", "summary": [], "encrypted_content": sealed}
    # Behind a compaction what was asked last may have been done before it.
    answered = str(last.get("type", "")).endswith(("_output", "compaction"))
    call = None if answered else _call(turn)
    yield call or _message(turn, _words(turn, last))


def _words(turn: Turn, last: Mapping[str, Any]) -> str:
    if str(last.get("type", "")).endswith("_output"):
        output = last.get("output")
        return f"{LABEL} The tool answered: {output if isinstance(output, str) else json.dumps(output)}"
    *earlier, latest = user_texts(turn.input) or [""]
    asked = turn.body.get("text")
    shape = asked.get("format") if isinstance(asked, Mapping) else None
    if isinstance(shape, Mapping) and shape.get("type") == "json_schema":
        return json.dumps(instance(shape.get("schema"), latest), ensure_ascii=False)
    before = f" Before that: {'; '.join(json.dumps(text, ensure_ascii=False) for text in earlier)}." if earlier else ""
    return f"{LABEL} You wrote: {json.dumps(latest, ensure_ascii=False)}.{before}"


def _message(turn: Turn, text: str) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {"id": turn.ids.draw("msg"), "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _call(turn: Turn) -> dict[str, Any] | None:
    asked = _CALL.search((user_texts(turn.input) or [""])[-1])
    if asked is None:
        return None
    name, arguments = asked[1], asked[2] or "{}"
    for tool, namespace in _tools(turn):
        if tool.get("name") == name and tool.get("type") == "function":
            call = {"name": name, **namespace, "call_id": turn.ids.draw("call"), "arguments": arguments}
            return {"id": turn.ids.draw("fc"), "type": "function_call", "status": "completed", **call}
        if tool.get("name") == name and tool.get("type") == "custom":
            call = {"name": name, "call_id": turn.ids.draw("call"), "input": arguments}
            return {"id": turn.ids.draw("ctc"), "type": "custom_tool_call", "status": "completed", **call}
    return None


def _tools(turn: Turn) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Every tool, and what a call of it says of its namespace."""
    pending = list(turn.body.get("tools") or [])
    for item in turn.input:
        if isinstance(item, Mapping) and item.get("type") == "additional_tools":
            pending.extend(item.get("tools") or [])
    for tool in pending:
        if tool.get("type") == "namespace":
            yield from ((inner, {"namespace": tool.get("name")}) for inner in tool.get("tools") or [])
        else:
            yield tool, {}


def _public(begun: JSON, output: Sequence[dict[str, Any]]) -> Iterator[Event]:
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(output):
        yield {"type": "response.output_item.added", "output_index": index, "item": _opened(item)}
        yield from _inside(index, item)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _opened(item: Mapping[str, Any]) -> dict[str, Any]:
    blank: dict[str, Any] = {"content": [], "arguments": "", "input": "", "status": "in_progress"}
    return {key: blank.get(key, value) for key, value in item.items()}


def _inside(index: int, item: Mapping[str, Any]) -> Iterator[Event]:
    at = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        part = item["content"][0]
        at = {**at, "content_index": 0}
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        for word in re.findall(r"\S+\s*", part["text"]):
            yield {"type": "response.output_text.delta", **at, "delta": word, "logprobs": []}
        yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": part}
    elif item["type"] == "function_call":
        yield {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]}
    elif item["type"] == "custom_tool_call":
        yield {"type": "response.custom_tool_call_input.delta", **at, "delta": item["input"]}
        yield {"type": "response.custom_tool_call_input.done", **at, "input": item["input"]}


def _response(turn: Turn, response_id: str, status: str) -> dict[str, Any]:
    body = turn.body
    return {
        "id": response_id,
        "object": "response",
        "created_at": turn.created_at,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "Instructions of the simulated backend's own, which are nobody's business.",
        "max_output_tokens": None,
        "model": body.get("model"),
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": body.get("reasoning") or {"effort": "medium", "summary": None},
        "safety_identifier": "user-simulated-safety",
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def _rate_limits(now: int) -> Event:
    windows = {
        window: {"used_percent": percent, "window_minutes": minutes, "reset_at": now + minutes * 60}
        for window, (percent, minutes) in QUOTA.items()
    }
    return {
        "type": "codex.rate_limits",
        "plan_type": "plus",
        "rate_limits": {"allowed": True, "limit_reached": False, **windows},
    }

"""Items as lists show them: each complete, under an id of its own that stays, and page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from floway.sealing import lookup_hash
from floway.wire.errors import InvalidRequest
from floway.wire.json import JSON, dumps_canonical
from floway.wire.objects import complete_part, id_prefix

_MOST = 100
_USUAL = 20
_ORDERS = ("asc", "desc")
_INCLUDABLE = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
_OUTPUT_PREFIXES = {"function_call_output": "fco", "custom_tool_call_output": "ctco"}


def identified(items: Sequence[JSON], owner: int | str) -> list[dict[str, Any]]:
    """The items, complete, each with an id: its own, or one made of what it says and how often that was said before.

    :param owner: the conversation that they belong to; elsewhere the same words have another id.
    """
    shown: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    taken: set[str] = set()
    for item in items:
        said = lookup_hash("item-id", str(owner).encode(), dumps_canonical(item)).hex()
        seen[said] = seen.get(said, 0) + 1
        own = item.get("id")
        name = own if isinstance(own, str) and own and own not in taken else _name(item, said, seen[said])
        taken.add(name)
        shown.append(complete(item, name))
    return shown


def _name(item: JSON, said: str, occurrence: int) -> str:
    kind = item.get("type") or "message"
    digest = lookup_hash("item-id", said.encode(), str(occurrence).encode()).hex()
    return f"{_OUTPUT_PREFIXES.get(kind) or id_prefix(kind)}_{digest[:48]}"


def complete(item: JSON, item_id: str) -> dict[str, Any]:
    """An input item with what the public API's lists say of it."""
    kind = item.get("type") or "message"
    full = {**item, "id": item_id, "type": kind}
    if kind == "message" or kind.endswith(("_call", "_call_output")):
        full["status"] = item.get("status") or "completed"
    if kind == "message":
        full["content"] = _parts(item.get("content"), str(item.get("role")))
    elif kind == "reasoning":
        full["summary"] = item.get("summary") or []
    return full


def _parts(content: JSON, role: str) -> list[JSON]:
    if isinstance(content, str):
        content = [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
    return [_part(part) for part in content] if isinstance(content, list) else []


def _part(part: JSON) -> JSON:
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"file_id": None, **part, "detail": part.get("detail") or "auto"}
    return complete_part(part)


# --- pages ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    order: str
    after: str | None
    before: str | None

    @classmethod
    def of(cls, query: QueryDict) -> Page:
        """As the query says.

        :raises InvalidRequest: names the parameter.
        """
        checked_include(query)
        limit, order = query.get("limit", str(_USUAL)), query.get("order", "desc")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= _MOST):
            raise InvalidRequest(f"'limit' must be a number from 1 to {_MOST}.", param="limit", code="invalid_value")
        if order not in _ORDERS:
            raise InvalidRequest("'order' must be 'asc' or 'desc'.", param="order", code="invalid_value")
        return cls(int(limit), order, query.get("after"), query.get("before"))

    def shown(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """That part of `items`, which stand oldest first, as a list object.

        :raises InvalidRequest: there is no such item to begin or end at.
        """
        ordered = list(items) if self.order == "asc" else list(reversed(items))
        begin = 0 if self.after is None else self._place(ordered, self.after, "after") + 1
        end = len(ordered) if self.before is None else self._place(ordered, self.before, "before")
        found = ordered[begin:end]
        # Backwards from where the caller stands, unless it said where to begin.
        backwards = self.before is not None and self.after is None
        data = found[-self.limit :] if backwards else found[: self.limit]
        return {**whole_list(data), "has_more": len(found) > len(data)}

    @staticmethod
    def _place(items: Sequence[dict[str, Any]], item_id: str, param: str) -> int:
        for place, item in enumerate(items):
            if item["id"] == item_id:
                return place
        raise InvalidRequest(f"'{param}' names no item of this list.", param=param, code="invalid_value")


def whole_list(data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A list object that leaves nothing out."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": False,
    }


def checked_include(query: QueryDict) -> None:
    """What could be included always is; what could not be, nobody may ask for.

    :raises InvalidRequest: there is no such thing.
    """
    for name in (*query.getlist("include"), *query.getlist("include[]")):
        if name not in _INCLUDABLE:
            raise InvalidRequest(f"'include' knows no '{name}'.", param="include", code="invalid_value")

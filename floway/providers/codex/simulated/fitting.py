"""A value that fits a JSON schema of the kind that structured outputs are asked with. Pure."""

from __future__ import annotations

from typing import Any

_DEEPEST = 8
_PLAIN: dict[str, Any] = {"integer": 3, "number": 1.5, "boolean": True, "null": None, "array": []}


def instance(schema: Any, text: str) -> Any:
    """The smallest value that fits; every string in it is `text`, unless only others are allowed."""
    root = schema if isinstance(schema, dict) else {}
    return _instance(root, root, text, 0)


def _instance(schema: Any, root: dict[str, Any], text: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return _instance(schema[choice][0], root, text, depth + 1)
    if isinstance(schema.get("$ref"), str):
        return _instance(_named(schema["$ref"], root), root, text, depth + 1)
    if "const" in schema or schema.get("enum"):
        return schema.get("const") or schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        members = schema.get("properties") or {}
        return {name: _instance(member, root, text, depth + 1) for name, member in members.items()}
    return _PLAIN.get(str(kind), text)


def _named(reference: str, root: dict[str, Any]) -> Any:
    found: Any = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found

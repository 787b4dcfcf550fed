"""What a conversation is recognised by when its caller names none: how it begins."""

from __future__ import annotations

import hashlib

from floway.wire.json import JSON, JSONObject, dumps

# JSON escapes this character, so the part behind the last one is always the item: instructions that end in an item's JSON
# cannot pass for another conversation.
_SEPARATOR = "\u0001"


def content_key(body: JSONObject) -> str | None:
    """SHA-256 in hex over the caller's instructions and the first item of its input; None for an empty input.

    The item's kind doesn't matter: after a compaction it is the compaction item.
    """
    first = _first_item(body.get("input"))
    if first is None:
        return None
    instructions = body.get("instructions")
    text = instructions if isinstance(instructions, str) else ""
    return hashlib.sha256((text + _SEPARATOR).encode() + dumps(first)).hexdigest()


def _first_item(items: JSON) -> JSON | None:
    if isinstance(items, str):
        return items or None
    return items[0] if isinstance(items, list) and items else None

"""What a prompt says before its items, as keyed hashes: enough to see later that it changed, and no content."""

from __future__ import annotations

from floway.sealing import lookup_hash
from floway.wire.json import JSONObject, dumps

_PARTS = ("instructions", "tools", "text", "prompt_cache_key")
_KEPT_DIGITS = 16


def fingerprints(body: JSONObject) -> dict[str, str]:
    """A short hash of each part that a request states, by the part's name.

    The order of keys counts: an upstream's cache knows bytes, not meanings.
    """
    stated = ((name, body.get(name)) for name in _PARTS)
    return {name: _fingerprint(name, dumps(value)) for name, value in stated if value is not None}


def _fingerprint(name: str, value: bytes) -> str:
    return lookup_hash("preamble", name.encode(), value).hex()[:_KEPT_DIGITS]

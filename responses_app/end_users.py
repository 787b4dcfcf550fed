"""End users, where a caller names them: kept as hashes keyed by API key, so that a purge finds what was asked on their behalf.

The name itself is stored nowhere in clear. Two keys that name the same person have nothing in common.
"""

from __future__ import annotations

from floway.sealing import lookup_hash
from floway.wire.json import JSON, JSONObject
from responses_app.models import Exchange


def digest_of(api_key_id: int, name: str) -> bytes:
    """What an end user is found by."""
    return lookup_hash("end-user", str(api_key_id).encode(), name.encode("utf-8", "surrogatepass"))


def note(exchange: Exchange, body: JSONObject) -> None:
    """Remember on the exchange, unsaved, whom the request names."""
    exchange.end_user_digest = _named(exchange.api_key_id, body.get("safety_identifier"))
    exchange.user_digest = _named(exchange.api_key_id, body.get("user"))


def _named(api_key_id: int, name: JSON) -> bytes | None:
    return digest_of(api_key_id, name) if isinstance(name, str) and name else None

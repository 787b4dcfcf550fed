"""A request as a command that repeats it, as far as it is known: no secret, no content."""

from __future__ import annotations

import json
import shlex

from floway import markup
from floway.wire.json import JSON
from responses_app.models import Exchange

_PATHS = {"generate": "/v1/responses", "compact": "/v1/responses/compact"}


def curl(exchange: Exchange, public_url: str) -> str:
    """For a shell with the key in FLOWAY_API_KEY."""
    body: dict[str, JSON] = {"model": exchange.model}
    if exchange.continued is not None:
        body["previous_response_id"] = exchange.continued.response_id
    body["input"] = "..."
    if exchange.streamed:
        body["stream"] = True
    if not exchange.stored:
        body["store"] = False
    url = public_url + _PATHS.get(exchange.action, "/v1/responses")
    lines = [
        f"curl{' -N' if exchange.streamed else ''} {url}",
        "  -H \"authorization: Bearer $FLOWAY_API_KEY\" -H 'content-type: application/json'",
        f"  -d {shlex.quote(json.dumps(body))}",
    ]
    return " \\\n".join(lines)


def unknown(exchange: Exchange) -> str:
    """What the request had that nobody kept, for the operator to fill in."""
    items = f"input ({exchange.input_items} items)" if exchange.input_items else "input"
    stated = sorted(exchange.preamble) if isinstance(exchange.preamble, dict) else []
    dropped = [str(row.get("field")) for row in markup.mappings(exchange.changes) if row.get("kind") == "dropped"]
    named = [name for name in dropped if not name.startswith("input[")]
    return ", ".join([items, *(name for name in stated if name not in named), *named])

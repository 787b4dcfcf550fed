"""The description of everything below /v1, as an OpenAPI 3.1 document. Written by hand; a test holds it against the routes."""

from __future__ import annotations

from typing import Any

from responses_app.openapi.paths import PATHS
from responses_app.openapi.schemas import SCHEMAS

_ABOUT = """The public Responses API, served by this gateway. Every request brings a key that its operator issued:
`Authorization: Bearer fw_…`. Objects belong to one key; another key's id is answered like one that never was.

Errors have one envelope, `{"error": {"message", "type", "param", "code"}}`, and say by `x-should-retry` and
`retry-after` whether and when the same request may succeed. Every answer names itself in `x-request-id`."""


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Floway for callers", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/v1"}],
        "security": [{"key": []}],
        "paths": PATHS,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key of this gateway."}},
            "schemas": SCHEMAS,
        },
    }

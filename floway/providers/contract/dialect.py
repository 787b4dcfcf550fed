"""What an official client asks of its service beside the public API, as data that neutral views serve."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class DialectAction(enum.Enum):
    """What is served at a route of the dialect."""

    RESPONSES = "responses"  # as at /v1/responses, WebSocket included
    COMPACT = "compact"
    MODELS = "models"
    DOCUMENT = "document"  # what the provider's `dialect_document` says


@dataclass(frozen=True, slots=True)
class DialectRoute:
    """One URL. :param path: without its leading slash."""

    path: str
    action: DialectAction

"""The project itself as an app: management commands and checks."""

from __future__ import annotations

import threading
from typing import Any

from django.apps import AppConfig
from django.db import connections


class FlowayConfig(AppConfig):
    """See the module."""

    name = "floway"
    verbose_name = "Floway"

    def ready(self) -> None:
        """Register the system checks, and let each thread have its connections at once."""
        # Django asks for the event loop that runs before each use of a connection; nothing here has any.
        handler: Any = connections
        handler._connections = threading.local()
        from floway import checks  # noqa: F401 - registering is its effect, and checks need the app registry

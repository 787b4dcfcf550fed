"""The project itself as an app: management commands and checks."""

from django.apps import AppConfig


class FlowayConfig(AppConfig):
    """See the module."""

    name = "floway"
    verbose_name = "Floway"

    def ready(self) -> None:
        """Register the system checks."""
        from floway import checks  # noqa: F401 - registering is its effect, and checks need the app registry

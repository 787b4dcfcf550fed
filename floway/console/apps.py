"""The operator's house: admin site, dashboard, templates."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """See the module."""

    name = "floway.console"
    label = "console"
    verbose_name = "Console"

"""The admin under our own site. In a file of its own: Django must find one AppConfig per module only."""

from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    """See the module."""

    default_site = "floway.console.site.ConsoleSite"

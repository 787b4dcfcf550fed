"""Who may call, and with what."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    """Credentials of the operator's accounts and the keys that callers hold."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Register the checks and the audit log; from the first migration on, the database knows its keys and roles."""
        from accounts import audit, checks  # noqa: F401 - registering is the checks' effect

        audit.listen()
        post_migrate.connect(_establish, sender=self)


def _establish(**_: Any) -> None:
    from accounts import roles, witness

    witness.establish()
    roles.establish()

"""Who may call, and with what."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Credentials of the operator's accounts and the keys that callers hold."""

    name = "accounts"
    verbose_name = "Accounts"

"""The environment as the settings read it: each variable has a type, and a malformed one is refused by its name.

Every variable NAME may also be given as NAME_FILE, the path of a file that holds its value.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_FOREIGN = ("FLOWAY_KEY", "FLOWAY_API_KEY")
"""Callers keep their key under these names, and the tests have some of their own."""


class Environment(environ.FileAwareEnv):  # type: ignore[misc] # it has no types
    """django-environ's, with the types that we have beside its own.

    :ivar known: what was asked for, so that a misspelt name can be told from one of ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] = set()

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """See FileAwareEnv."""
        self.known.add(var)
        return super().get_value(var, *args, **kwargs)

    def unknown(self) -> list[str]:
        """What is there under a name like ours, and nothing has asked for so far."""
        return sorted(
            name
            for name in os.environ
            if name.startswith("FLOWAY_")
            and not name.startswith("FLOWAY_TEST_")
            and name not in _FOREIGN
            and name.removesuffix("_FILE") not in self.known
        )

    def count(self, name: str, default: int, least: int = 1) -> int:
        """A whole number. :raises ImproperlyConfigured: it is none, or less than `least`."""
        try:
            value = int(self.str(name, default=str(default)))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be a whole number.") from error
        if value < least:
            raise ImproperlyConfigured(f"{name} must be at least {least}.")
        return value

    def networks(self, name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Addresses and networks, comma-separated. :raises ImproperlyConfigured: one of them is neither."""
        try:
            return [ipaddress.ip_network(text.strip()) for text in self.list(name, default=[]) if text.strip()]
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be IP addresses or networks, comma-separated: {error}.") from error

    def upstream_url(self, name: str, default: str) -> str:
        """Where a provider is, without a slash at its end.

        :raises ImproperlyConfigured: tokens would travel in clear, or it says more than where.
        """
        url: str = self.str(name, default=default).rstrip("/")
        parts = urlsplit(url)
        if not _is_safe(parts):
            raise ImproperlyConfigured(f"{name} must be https; plain http is for loopback alone.")
        if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
            raise ImproperlyConfigured(f"{name} must be a plain URL: no user, password, query or fragment.")
        return url

    def webhook_url(self, name: str) -> str:
        """Whom to tell, empty for nobody.

        :raises ImproperlyConfigured: notices would travel in clear, or it says what it should not.
        """
        url: str = self.str(name, default="")
        parts = urlsplit(url)
        if url and not (parts.hostname and _is_safe(parts)):
            raise ImproperlyConfigured(f"{name} must be https; plain http is for loopback alone.")
        if parts.username or parts.password or parts.fragment:
            raise ImproperlyConfigured(f"{name} must have no user, password or fragment.")
        return url


def _is_safe(parts: SplitResult) -> bool:
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    return parts.scheme == "https" or (parts.scheme == "http" and loopback)

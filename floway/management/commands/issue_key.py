"""`manage.py issue_key NAME`: a new API key; prints it alone on the last line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts import audit, keys
from floway.management.keyed import KeyedCommand
from floway.providers.registry import UnknownProvider


class Command(KeyedCommand):
    """See the module."""

    help = "Issue an API key. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """NAME and what the key may do."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--provider", help="default: the first configured")
        parser.add_argument("--strict", action="store_true", help="answer 400 instead of leaving out a refused parameter")

    def handle(self, *args: Any, name: str, provider: str | None, strict: bool, **options: Any) -> None:
        """Issue and print."""
        try:
            issued = keys.issue(name, provider=provider, strict=strict)
        except UnknownProvider as error:
            raise CommandError(f"No provider is configured as {error}.") from error
        audit.record("issued", issued.key)
        self.stderr.write(f"Key {issued.key.pk} ({name}); it is not shown again:")
        self.stdout.write(issued.secret)

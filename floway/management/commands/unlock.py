"""`manage.py unlock [--address A [--user NAME]]`: let people try again who were shut out for guessing."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts import audit, guessing
from floway.management.keyed import KeyedCommand


class Command(KeyedCommand):
    """See the module."""

    help = "Let people sign in again who were shut out for guessing: everybody, or who is at one address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom."""
        parser.add_argument("--address", help="only who is at this address")
        parser.add_argument("--user", help="and only what was tried as this name there")

    def handle(self, *args: Any, address: str | None, user: str | None, **options: Any) -> None:
        """Forget and say."""
        if user and not address:
            raise CommandError("A name is locked at an address: give --address too, or neither.")
        count = guessing.forget(name=user, address=address)
        audit.record("unlocked", address=address, user=user)
        self.stdout.write(f"{count} counts forgotten.")

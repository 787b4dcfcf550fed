"""`manage.py reset_second_factor NAME`: take away the second factor of somebody who has lost it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from accounts import audit, second_factor
from floway.management.keyed import KeyedCommand


class Command(KeyedCommand):
    """See the module."""

    help = "Take away the second factor of somebody who has lost it: the password alone signs them in again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("user", metavar="NAME")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        """Take it away and say so."""
        found = User.objects.filter(username=user).first()
        if found is None:
            raise CommandError(f"There is nobody called {user}.")
        if not second_factor.reset(found):
            raise CommandError(f"{user} has no second factor.")
        audit.record("second factor taken away", found)
        self.stdout.write(f"{user} signs in with the password alone. Let them set up a new second factor.")

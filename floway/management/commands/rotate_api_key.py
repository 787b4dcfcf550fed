"""`manage.py rotate_api_key KEY`: a new secret for an API key; prints it alone on the last line."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from floway.management.keyed import KeyedCommand
from floway.management.limits import length


class Command(KeyedCommand):
    """See the module."""

    help = "Give an API key a new secret. It is shown this once; the older ones stop working now, or after --grace."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which key, and how long its older secrets go on."""
        parser.add_argument("key", metavar="KEY", help="its number, or its name where no other key has it")
        parser.add_argument("--grace", type=length, default=timedelta(), metavar="LENGTH", help="such as 30m, 24h or 7d")

    def handle(self, *args: Any, key: str, grace: timedelta, **options: Any) -> None:
        """Rotate and print."""
        found = _found(key)
        secret = keys.rotate(found, timezone.now() + grace if grace else None)
        ends = (
            f"its older secrets work until {timezone.now() + grace:%Y-%m-%d %H:%M} UTC" if grace else "its older secrets ended"
        )
        self.stderr.write(f"Key {found.pk} ({found.name}); {ends}. The new one is not shown again:")
        self.stdout.write(secret)


def _found(key: str) -> ApiKey:
    numbered = ApiKey.objects.filter(pk=int(key)).first() if key.isascii() and key.isdecimal() else None
    named = list(ApiKey.objects.filter(name=key)) if numbered is None else [numbered]
    if len(named) != 1:
        raise CommandError(
            "No API key is called that." if not named else "Several keys are called that; say the number of one."
        )
    return named[0]

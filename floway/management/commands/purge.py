"""`manage.py purge (--key N [--end-user] | --conversation N)`: delete content for good, after saying what will be lost."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts import audit
from accounts.models import ApiKey
from floway.management.keyed import KeyedCommand
from responses_app import purging
from responses_app.models import Conversation
from responses_app.pacing import Pace
from responses_app.purging import Kind, Target


class Command(KeyedCommand):
    """See the module."""

    help = "Delete a key's, a conversation's or an end user's content for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("--key", type=int, help="the API key's number")
        parser.add_argument("--conversation", type=int, help="the conversation's number")
        parser.add_argument("--end-user", action="store_true", help="of an end user of the key; their name is asked for")
        parser.add_argument("--yes", action="store_true", help="do not ask again")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        """Say what will be lost, ask, and do it."""
        target = _target(options["key"], options["conversation"], end_user=options["end_user"])
        foreseen = purging.foresee(target, timezone.now())
        self.stdout.write("This will be lost for good:")
        self.stdout.writelines(f"  {name.replace('_', ' ')}: {count}" for name, count in foreseen.items())
        if not yes and input("Purge? Type yes: ") != "yes":
            raise CommandError("Nothing was purged.")
        purge = purging.ask(target, audit.COMMAND_LINE, None, timezone.now())
        done = purging.advance(purge, Pace(None))
        self.stdout.write("Purged." if done else "Marked; a request in flight is waited for by the maintenance loop.")


def _target(key: int | None, conversation: int | None, *, end_user: bool) -> Target:
    if (key is None) == (conversation is None) or (end_user and key is None):
        raise CommandError("Give either --key, with --end-user or without, or --conversation.")
    if conversation is not None:
        row = Conversation.objects.filter(pk=conversation, purge=None).select_related("api_key").first()
        if row is None:
            raise CommandError("There is no such conversation.")
        return Target(Kind.CONVERSATION, row.api_key, row.pk)
    owner = ApiKey.objects.filter(pk__in=[key]).first()
    if owner is None:
        raise CommandError("There is no such key.")
    return Target.end_user(owner, _name()) if end_user else Target(Kind.KEY, owner)


def _name() -> str:
    """Not an argument: those of a process can be read by others."""
    name = getpass.getpass("End user (not shown): ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not name:
        raise CommandError("No name was given.")
    return name

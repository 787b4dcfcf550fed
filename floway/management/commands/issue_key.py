"""`manage.py issue_key NAME`: a new API key; prints it alone on the last line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts import audit, keys
from accounts.models import KeyBudget
from floway.management.keyed import KeyedCommand
from floway.management.limits import budget, moment
from floway.providers.registry import UnknownProvider


class Command(KeyedCommand):
    """See the module."""

    help = "Issue an API key. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """NAME and what the key may do."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--provider", help="default: the first configured")
        parser.add_argument("--strict", action="store_true", help="answer 400 instead of leaving out a refused parameter")
        parser.add_argument("--expires", type=moment, metavar="DATE", help="2027-01-31 or 2027-01-31T12:00, UTC")
        parser.add_argument(
            "--model", action="append", default=[], help="one that it may use; may be given again; default: any"
        )
        parser.add_argument("--max-in-flight", type=_positive, metavar="N", help="requests at once")
        parser.add_argument(
            "--requests",
            type=budget(KeyBudget.Kind.REQUESTS),
            action="append",
            default=[],
            metavar="N/WINDOW",
            help="such as 60/minute; windows are minute, hour, day and month; may be given again",
        )
        parser.add_argument(
            "--tokens",
            type=budget(KeyBudget.Kind.TOKENS),
            action="append",
            default=[],
            metavar="N/WINDOW",
            help="such as 2000000/day; in and out together; may be given again",
        )

    def handle(self, *args: Any, name: str, provider: str | None, strict: bool, **options: Any) -> None:
        """Issue and print."""
        budgets = [*options["requests"], *options["tokens"]]
        if len({(row.kind, row.window) for row in budgets}) < len(budgets):
            raise CommandError("Two budgets of one kind have the same window.")
        try:
            issued = keys.issue(
                name,
                provider=provider,
                strict=strict,
                expires_at=options["expires"],
                allowed_models=options["model"],
                max_in_flight=options["max_in_flight"],
                budgets=budgets,
            )
        except UnknownProvider as error:
            raise CommandError(f"No provider is configured as {error}.") from error
        audit.record("issued", issued.key)
        self.stderr.write(f"Key {issued.key.pk} ({name}); it is not shown again:")
        self.stdout.write(issued.secret)


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**31:
        raise ValueError(text)
    return number

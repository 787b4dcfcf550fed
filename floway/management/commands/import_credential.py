"""`manage.py import_credential FILE|-`: import a login; prints the credential's id."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts import audit
from accounts.importing import ImportRefused, import_credential
from floway.management.keyed import KeyedCommand


class Command(KeyedCommand):
    """See the module."""

    help = "Import a login from the file that an official client keeps (~/.codex/auth.json), or - for standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """FILE, and which provider it belongs to."""
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--provider", help="default: the first configured")

    def handle(self, *args: Any, file: str, provider: str | None, **options: Any) -> None:
        """Import, say what happened on standard error, print the id."""
        try:
            document = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            imported = import_credential(document, provider=provider)
        except (OSError, ImportRefused) as error:
            raise CommandError(str(error)) from error
        audit.record("imported" if imported.created else "imported again: tokens replaced", imported.credential)
        verb = "imported" if imported.created else "replaced the tokens of"
        self.stderr.write(f"{verb} {imported.credential}. Let no client go on using that file: refresh tokens work once.")
        self.stdout.write(str(imported.credential.pk))

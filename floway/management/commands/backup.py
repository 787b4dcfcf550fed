"""`manage.py backup FILE`: a consistent copy of the SQLite database while it is in use."""

from __future__ import annotations

import os
import sqlite3
from argparse import ArgumentParser
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection


class Command(BaseCommand):
    """See the module."""

    help = "Copy the SQLite database with SQLite's online backup. The secrets file is not in it: keep a copy of that too."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to."""
        parser.add_argument("file", metavar="FILE", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        """Copy; the copy is readable by its owner alone, and appears under its name only when it is whole."""
        if connection.vendor != "sqlite":
            raise CommandError("This is for SQLite. Use pg_dump for PostgreSQL.")
        if file.exists():
            raise CommandError(f"{file} is there already. Name a file that is not: a backup replaces nothing.")
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            connection.ensure_connection()
            with closing(sqlite3.connect(draft)) as target:
                connection.connection.backup(target)
            draft.replace(file)
        except OSError as error:
            raise CommandError(str(error)) from error
        finally:
            draft.unlink(missing_ok=True)
        self.stderr.write("Tokens refreshed after this moment are not in it: see docs/operating.md before you restore it.")
        self.stdout.write(str(file))

"""`manage.py compact`: write SQLite's file anew, without its free pages; from then on it gives them back by itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection


class Command(BaseCommand):
    """See the module."""

    help = "Write SQLite's file anew, as small as it goes. Stop the server first; it needs as much free disk as the file has."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say."""
        if connection.vendor != "sqlite":
            self.stdout.write("Nothing to do: PostgreSQL vacuums by itself.")
            return
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (is_busy, _, _) = cursor.fetchone()
        if is_busy:
            raise CommandError("The file is compact, but somebody reads it: its log stays. Stop the server and do it again.")
        self.stdout.write("Compacted.")

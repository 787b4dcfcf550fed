"""`manage.py serve`: the production server, after a migration if asked."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts import witness


class Command(BaseCommand):
    """See the module."""

    help = "Serve the gateway with gunicorn and gevent workers on FLOWAY_BIND."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to migrate first."""
        parser.add_argument("--migrate", action="store_true", help="bring the database up to date first")

    def handle(self, *args: Any, migrate: bool, **options: Any) -> None:
        """Check, greet, and become gunicorn."""
        call_command("check", fail_level="ERROR", databases=["default"])
        if migrate:
            call_command("migrate", interactive=False, verbosity=options["verbosity"])
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The database is not up to date. Run `manage.py migrate`, or `manage.py serve --migrate`.")
        witness.establish()
        self._greet()
        connection.close()
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", "python:floway.serving"])  # noqa: S606 - our own words

    def _greet(self) -> None:
        self.stdout.write(f"Floway on {settings.FLOWAY_PUBLIC_URL} (admin: {settings.FLOWAY_PUBLIC_URL}/admin/)")
        if not get_user_model().objects.filter(is_superuser=True).exists():
            elsewhere = settings.FLOWAY_DATA_DIR != settings.BASE_DIR / "data"
            where = f"FLOWAY_DATA_DIR={shlex.quote(str(settings.FLOWAY_DATA_DIR))} " if elsewhere else ""
            command = f"{where}{os.path.relpath(sys.executable)} {sys.argv[0]} createsuperuser"
            self.stdout.write(f"There is no admin account yet. Make one in another terminal:\n\n    {command}\n")

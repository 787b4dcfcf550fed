"""`manage.py serve`: the production server, after a migration if asked."""

from __future__ import annotations

import os
import resource
import shlex
import socket
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse
from gevent import monkey
from gunicorn.app.base import BaseApplication

from accounts import first_run, witness
from floway import serving

_FILES = 65_536


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """gunicorn in this process, as `floway.serving` configures it."""

    def load_config(self) -> None:
        """See gunicorn."""
        for name in self.cfg.settings:
            if hasattr(serving, name):
                self.cfg.set(name, getattr(serving, name))

    def load(self) -> Any:
        """See gunicorn."""
        from floway.wsgi import application

        return application


class Command(BaseCommand):
    """See the module."""

    help = "Serve the gateway with gunicorn and gevent workers on FLOWAY_BIND."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to migrate first."""
        parser.add_argument("--migrate", action="store_true", help="bring the database up to date first")

    def handle(self, *args: Any, migrate: bool, **options: Any) -> None:
        """Check, greet, and serve."""
        if not monkey.is_module_patched("threading"):
            raise CommandError(
                "Run it as `manage.py serve`: what it is made of must be patched for gevent before it is loaded."
            )
        _refuse_taken_address()
        call_command("check", fail_level="ERROR", databases=["default"])
        if migrate:
            call_command("migrate", interactive=False, verbosity=options["verbosity"])
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError("The database is not up to date. Run `manage.py migrate`, or `manage.py serve --migrate`.")
        for problem in witness.problems():
            raise CommandError(problem)
        witness.establish()
        self._greet()
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined] # both of our backends have it; what is forked inherits none
        _open_many_files()
        sys.stdout.flush()
        Server().run()

    def _greet(self) -> None:
        self.stdout.write(f"Floway on {settings.FLOWAY_PUBLIC_URL} (admin: {settings.FLOWAY_PUBLIC_URL}/admin/)")
        if first_run.is_open():
            page = f"{settings.FLOWAY_PUBLIC_URL}{reverse('admin:first_owner')}"
            self.stdout.write(f"There is no admin account yet. Make the first one at {page} with the token\n")
            self.stdout.write(f"    {first_run.token()}\n\nor in another terminal:\n\n    {_by_command()}\n")


def _by_command() -> str:
    elsewhere = settings.FLOWAY_DATA_DIR != settings.BASE_DIR / "data"
    where = f"FLOWAY_DATA_DIR={shlex.quote(str(settings.FLOWAY_DATA_DIR))} " if elsewhere else ""
    return f"{where}{os.path.relpath(sys.executable)} {sys.argv[0]} createsuperuser"


def _open_many_files() -> None:
    """A stream takes two descriptors, and many systems allow a thousand until they are asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _refuse_taken_address() -> None:
    """gunicorn would try for seconds, behind a greeting that sends people to whoever has the address.

    :raises CommandError: it is not to be had.
    """
    host, _, port = settings.FLOWAY_BIND.rpartition(":")
    if not port.isdigit():
        return  # a Unix socket, or something that gunicorn will say its own word about
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"{settings.FLOWAY_BIND} cannot be served on: {error}. Set FLOWAY_BIND to another address."
        ) from error

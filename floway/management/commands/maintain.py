"""`manage.py maintain [--once]`: keep logins alive, where `manage.py serve` does not do it itself."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from accounts import maintenance
from floway.management.keyed import KeyedCommand


class Command(KeyedCommand):
    """See the module."""

    help = "Refresh logins before they expire and send notices; at once and then for ever, or once for cron."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How often."""
        parser.add_argument("--once", action="store_true", help="come round once and end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Run until a signal, letting an exchange that is under way end first."""
        holder = maintenance.new_holder()
        if once:
            self._once(holder)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        maintenance.run(stop, holder)

    def _once(self, holder: str) -> None:
        try:
            done = maintenance.once(holder)
        finally:
            maintenance.release(holder)
        self.stdout.write("done" if done else "another process is at it")

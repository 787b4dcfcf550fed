"""`manage.py rotate_keys [--check]`: seal everything anew under the current key, while the gateway serves."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import CommandError

from accounts import audit, maintenance, witness
from floway import resealing
from floway.management.keyed import KeyedCommand


class Command(KeyedCommand):
    """See the module."""

    help = "Seal everything anew under the first of FLOWAY_ENCRYPTION_KEYS. Can be cut short and run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether to look only."""
        parser.add_argument("--check", action="store_true", help="say how many rows are sealed under which key, change nothing")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Move, then count; a key that nothing needs any more is named."""
        if check:
            self._count()
            return
        witness.establish()
        maintenance.adopt_rotated("")
        lost = sum(self._move(column) for column in resealing.columns())
        audit.record("encryption keys rotated", lost=lost)
        needed = self._count()
        for key_id in witness.retired():
            if not needed[key_id]:
                witness.dismiss(key_id)
                self.stdout.write(f"Nothing is sealed under {key_id!r} any more: take it out of FLOWAY_ENCRYPTION_KEYS.")
        if lost:
            raise CommandError(f"{lost} rows could not be unsealed and stand as they were: their keys are missing.")

    def _move(self, column: resealing.SealedColumn) -> int:
        def progress(tally: resealing.Tally) -> None:
            self.stderr.write(f"{column}: {tally.moved} sealed anew")

        return resealing.move(column, progress).lost

    def _count(self) -> Counter[str]:
        whole: Counter[str] = Counter()
        for column in resealing.columns():
            counted = resealing.by_key(column)
            whole += counted
            said = ", ".join(f"{key_id}: {count}" for key_id, count in sorted(counted.items()))
            self.stdout.write(f"{column}  {said}")
        return whole

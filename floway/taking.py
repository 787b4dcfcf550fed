"""What our two database backends have in common: a turn takes a connection that is kept open and gives it back, three times."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.backends.signals import connection_created

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper as Base
else:
    Base = object


class TakesConnections(Base):
    """A part of a database wrapper."""

    def take(self: Any, kept: Any) -> None:
        """Use a kept connection, in the state in which Django's `connect` leaves us."""
        self.in_atomic_block = self.needs_rollback = self.closed_in_transaction = self.errors_occurred = False
        self.savepoint_ids, self.atomic_blocks, self.run_on_commit = [], [], []
        self.health_check_enabled, self.health_check_done = False, True
        self.close_at = 0.0  # at the end of the request
        self.connection, self.autocommit = kept, True
        connection_created.send(sender=type(self), connection=self)

    def ensure_connection(self) -> None:
        """Django's, which costs nothing where there is one."""
        if self.connection is None:
            super().ensure_connection()

    def validate_thread_sharing(self: Any) -> None:
        """Django's, which costs nothing where nothing is shared."""
        if self._thread_ident != threading.get_ident():
            super().validate_thread_sharing()

    def is_watched(self: Any) -> bool:
        """Does somebody look on at what is executed? Then it goes through Django's cursors."""
        return bool(self.execute_wrappers or self.force_debug_cursor)

    def run(self: Any, statement: str, params: Sequence[Any] | None = None) -> Any:
        """Execute it; a cursor of the driver's own, which costs a tenth of Django's, unless somebody looks on.

        :raises django.db.Error: as Django's would.
        """
        if self.connection is None:
            self.ensure_connection()
        if self.is_watched():
            watched = self.cursor()
            watched.execute(statement, params)
            return watched
        if self.needs_rollback:
            self.validate_no_broken_transaction()
        return self.run_unwatched(statement, params)

    def run_unwatched(self, statement: str, params: Sequence[Any] | None) -> Any:
        """The same, on an open connection on which it may be executed."""
        raise NotImplementedError

    def run_later(self, statement: str, params: Sequence[Any]) -> Any:
        """Execute it before the open transaction ends, in order: whoever looks at what it gives has it executed by then.

        :raises django.db.Error: as `run`; or whoever executes something else, or looks, or commits, is told.
        """
        raise NotImplementedError

    def run_waiting(self) -> None:
        """Execute what `run_later` has left."""

"""SQLite's write-ahead log, folded back into the database beside the traffic.

SQLite does that within whichever commit finds the log long enough: pages are copied and the disk is waited for, 3 to 40 ms on a
quick one, and a cooperative process with all its streams stands still meanwhile. Here a thread of the operating system does it,
with a connection of its own; SQLite lets others read and write all the while.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from functools import cached_property

import gevent
from gevent.threadpool import ThreadPool

log = logging.getLogger(__name__)

_COMMITS = 100
"""Between two folds. A turn commits twice and writes some 75 pages: about 4,000 pages, as much as SQLite leaves to commands."""
_LONG_PAGES = 8_000
"""32 MB. A log begins anew once nobody has written since it was folded. Under load somebody always has: then writers wait."""
LEFT_TO_SQLITE_PAGES = 40_000
"""160 MB: a commit folds the log after all, so that what is written never outruns what is folded."""
_PATIENCE_SECONDS = 0.02


class Checkpoints:
    """Those of one database file, by this process, in which gevent runs everything.

    :param write_lock: of this process; whoever holds it may write.
    :ivar is_folding: the log is being folded.
    """

    def __init__(self, database: str, write_lock: threading.Lock) -> None:
        self._database, self._write_lock = database, write_lock
        self._commits = 0
        self.is_folding = False

    def committed(self) -> None:
        """Count a commit; the log is folded after some, and nobody waits for it."""
        self._commits += 1
        if self._commits >= _COMMITS and not self.is_folding:
            self._commits, self.is_folding = 0, True
            gevent.spawn(self._fold_beside)

    @cached_property
    def _thread(self) -> ThreadPool:
        return ThreadPool(1)

    def _fold_beside(self) -> None:
        try:
            if self._thread.apply(self._fold, ("PASSIVE",)) > _LONG_PAGES:
                with self._write_lock:
                    self._thread.apply(self._fold, ("RESTART",))
        except sqlite3.Error as error:
            log.warning("The write-ahead log could not be folded back: %s.", error)
        finally:
            self.is_folding = False

    def _fold(self, mode: str) -> int:
        connection = sqlite3.connect(self._database, timeout=_PATIENCE_SECONDS, isolation_level=None)
        try:
            _, pages, _ = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            return int(pages)
        finally:
            connection.close()

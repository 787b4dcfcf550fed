"""The write-ahead log of SQLite is folded back beside the traffic: by another thread, and so that it begins anew."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import gevent
import pytest
from django.db import connection

from floway.sqlite import checkpoints
from floway.sqlite.checkpoints import Checkpoints
from tests.fakes.caller import Caller
from tests.fakes.served import Served
from tests.fakes.waiting import until


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "database.sqlite3")


@pytest.fixture
def written(database: str) -> sqlite3.Connection:
    """A connection that folds nothing by itself, and a row in the log."""
    writer = sqlite3.connect(database, isolation_level=None)
    writer.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE said (word); INSERT INTO said VALUES ('one');"
    )
    return writer


def without_its_log(database: str) -> list[str]:
    """The tables that the file itself tells of."""
    bare = Path(database).with_name("bare.sqlite3")
    content = bytearray(Path(database).read_bytes())
    if not content:
        return []
    content[18:20] = b"\x01\x01"  # not in WAL mode, so that nobody looks for the log
    bare.write_bytes(content)
    reader = sqlite3.connect(bare)
    found = [name for (name,) in reader.execute("SELECT name FROM sqlite_master")]
    reader.close()
    return found


def commit(folding: Checkpoints, times: int) -> None:
    """As so many commits of this process, and whatever comes of them."""
    for _ in range(times):
        folding.committed()
    while folding.is_folding:
        gevent.sleep(0.001)


def test_after_some_commits_the_file_itself_holds_what_was_written(database: str, written: sqlite3.Connection) -> None:
    folding = Checkpoints(database, threading.Lock())
    commit(folding, 99)
    assert without_its_log(database) == []
    commit(folding, 1)
    assert without_its_log(database) == ["said"]
    written.execute("CREATE TABLE later (word)")
    commit(folding, 99)
    assert without_its_log(database) == ["said"]
    commit(folding, 1)
    assert without_its_log(database) == ["said", "later"]


def test_the_disk_is_waited_for_by_another_thread(
    database: str, written: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    folding, threads = Checkpoints(database, threading.Lock()), set()
    fold = folding._fold

    def watched(mode: str) -> int:
        threads.add(threading.get_ident())
        return fold(mode)

    monkeypatch.setattr(folding, "_fold", watched)
    commit(folding, 100)
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_a_long_log_begins_anew_while_this_process_writes_nothing(
    database: str, written: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, lock = Path(f"{database}-wal"), threading.Lock()
    written.executemany("INSERT INTO said VALUES (?)", [("x" * 4000,)] * 50)
    length = log.stat().st_size
    monkeypatch.setattr(checkpoints, "_LONG_PAGES", 50)
    reader = sqlite3.connect(database, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM said").fetchone()
    commit(Checkpoints(database, lock), 100)
    written.execute("INSERT INTO said VALUES ('two')")
    assert log.stat().st_size > length, "who reads keeps the log as it is"
    reader.execute("COMMIT")
    length = log.stat().st_size
    commit(Checkpoints(database, lock), 100)
    written.execute("INSERT INTO said VALUES ('three')")
    assert log.stat().st_size == length
    assert not lock.locked()


def test_what_cannot_be_folded_is_said_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folding = Checkpoints(str(tmp_path / "gone" / "database.sqlite3"), threading.Lock())
    with caplog.at_level(logging.WARNING):
        commit(folding, 100)
        commit(folding, 100)
    assert [record.message for record in caplog.records] == [
        "The write-ahead log could not be folded back: unable to open database file."
    ] * 2


@pytest.mark.skipif(connection.vendor != "sqlite", reason="this is about SQLite's log")
def test_the_shipped_server_folds_its_log_long_before_sqlite_would(served: Served, served_caller: Caller) -> None:
    data = Path(served.environment["FLOWAY_DATA_DIR"])
    outside = sqlite3.connect(data / "floway.sqlite3", timeout=10, isolation_level=None)
    assert outside.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    outside.close()
    before = (data / "floway.sqlite3").stat().st_mtime_ns
    for _ in range(50):  # a hundred commits
        assert served_caller.say("hello").status == 200
    until(lambda: (data / "floway.sqlite3").stat().st_mtime_ns > before)
    assert (data / "floway.sqlite3-wal").stat().st_size < 4000 * 4096

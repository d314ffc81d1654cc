"""A file of version 1 is written anew, once, where there is room for it; then it shrinks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.outbox import file as outbox_file
from agent.outbox import spool
from agent.outbox.compact import compact
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from tests.agent.outbox import version_1

FREE = 1 << 40


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """Of this schema, with much room in it, and no way to give that back."""
    path = tmp_path / "outbox.sqlite3"
    version_1.write(path, delivered=20_000, waiting=3)
    outbox_file.open_file(path, clock=ManualClock())
    return path


def shrunk_pages(path: Path) -> int:
    """How many pages go back to the disk in one turn."""
    with closing(outbox_file.connect(path, synchronous="NORMAL")) as database:
        before = pages(database)
        spool.shrink(database)
        return before - pages(database)


def pages(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA page_count").fetchone()[0])


def test_an_old_file_shrinks_after_it_was_written_anew(migrated: Path) -> None:
    assert shrunk_pages(migrated) == 0
    before = migrated.stat().st_size
    assert compact(migrated, free_bytes=FREE) is None
    assert migrated.stat().st_size < before / 10
    with closing(outbox_file.connect(migrated, synchronous="NORMAL")) as database:
        database.execute("CREATE TABLE filling (bytes BLOB)")
        database.execute("INSERT INTO filling VALUES (zeroblob(20000000))")
        database.execute("DROP TABLE filling")
    assert shrunk_pages(migrated) >= spool.VACUUM_PAGES


def test_without_room_for_a_copy_it_stays_as_it_is_and_says_so(migrated: Path) -> None:
    before = migrated.stat().st_size
    said = compact(migrated, free_bytes=2 * before - 1)
    assert said is not None and str(migrated) in said
    assert f"{2 * before - 1} of the {2 * before} bytes that it takes are free" in said
    assert migrated.stat().st_size == before


def test_a_new_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox_file.open_file(path, clock=ManualClock())
    before = path.read_bytes()
    assert compact(path, free_bytes=0) is None
    assert path.read_bytes() == before


def test_an_outbox_that_opens_an_old_file_keeps_what_waits(migrated: Path) -> None:
    outbox = Outbox(Database(migrated, clock=ManualClock()))
    outbox.open()
    assert outbox.unshrinkable is None
    assert (outbox.last_sequence(), outbox.depth().rows) == (20_003, 6)
    outbox.close()
    with closing(sqlite3.connect(migrated)) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

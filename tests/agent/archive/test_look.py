"""A person learns from outside how full an archive is and what in it is not sound, and changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.archive import files, look
from agent.archive.faults import ArchiveError
from agent.archive.index import NAME, VERSION
from agent.archive.record import Mark
from agent.archive.shelf import Shelf
from agent.clock import ManualClock
from tests.agent.archive.records import LIMITS, MORNING, record, result_id, verdict


def filled(folder: Path) -> Shelf:
    """Open, with one frame of each verdict, one of them marked."""
    one = Shelf(folder, LIMITS, clock=ManualClock(MORNING))
    one.open()
    for number, name in enumerate(("fail", "pass", "undecided"), start=1):
        one.put(*record(number, name=name))
    one.mark(result_id(2), Mark(word="missed_defect", by="Ada", at=MORNING))
    return one


def test_it_is_summed_up_beside_a_running_agent(tmp_path: Path) -> None:
    one = filled(tmp_path)
    found = look.summary(tmp_path)
    assert (found.entries, found.marked, found.torn) == (3, 1, 0)
    assert found.verdicts == {"fail": 1, "pass": 1, "undecided": 1}
    assert (found.oldest, found.newest) == (verdict(1).created, verdict(3).created)
    assert found.size_bytes == sum(file.size for file in files.scan(tmp_path))
    one.close()
    assert look.summary(tmp_path) == found


def test_a_folder_without_an_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no archive is there"):
        look.summary(tmp_path)
    with pytest.raises(ArchiveError, match="No such file or directory"):
        list(look.check(tmp_path / "none"))


def test_an_index_that_this_version_cannot_read_says_what_mends_it(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(ArchiveError, match=f"version 7, this command knows {VERSION}; start the agent once"):
        look.summary(tmp_path)
    (tmp_path / NAME).write_bytes(b"no database" * 500)
    with pytest.raises(ArchiveError, match="not a database; start the agent once"):
        look.summary(tmp_path)


def test_damage_is_named_and_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    one = filled(tmp_path)
    day = tmp_path / verdict(1).created[:10]
    unfinished = day / f".{result_id(9)}.png.part"
    unfinished.write_bytes(b"being written")
    assert list(look.check(tmp_path)) == [None, None, None]
    damaged = day / f"{result_id(1)}.png"
    data = bytearray(damaged.read_bytes())
    data[-300] ^= 1
    damaged.write_bytes(data)
    words = [one for one in look.check(tmp_path) if one is not None]
    assert words == [f"{damaged}: it was changed after it was written; nothing of it can be relied on"]
    assert unfinished.exists() and damaged.exists()
    one.close()


def test_an_entry_that_makes_room_meanwhile_is_no_damage(tmp_path: Path) -> None:
    filled(tmp_path).close()
    found = look.check(tmp_path)
    assert next(found) is None
    for file in list(files.scan(tmp_path)):
        files.remove(tmp_path / file.day / f"{file.id}.png")
    assert list(found) == []

"""The file: older schemas are brought up to date, damage is set aside whole, two agents do not share it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import ManualClock, SystemClock
from agent.outbox import file as outbox_file
from agent.outbox import place
from agent.outbox.database import Database
from agent.outbox.file import DamagedError, OutboxError, explained
from agent.outbox.history import ask_again
from agent.outbox.outbox import Outbox
from tests.agent.outbox import version_1, version_3
from tests.agent.outbox.rows import crop, event, named_crop, verdict
from tests.brokers import DEADLINE_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def opened(path: Path) -> Outbox:
    outbox = Outbox(Database(path, clock=ManualClock()))
    outbox.open()
    return outbox


def test_a_file_of_version_1_goes_on_where_it_was(path: Path) -> None:
    version_1.write(path, delivered=3, waiting=4)
    outbox = opened(path)
    assert outbox.last_sequence() == 7
    assert outbox.depth().kinds == {"verdict": 4, "event": 0, "crop": 4}
    outbox.append([verdict(8), crop(8)]).result(DEADLINE_S)
    rows = outbox.lease(20)
    numbers = [4, 5, 6, 7, 8]
    assert [one.row.id for one in rows] == [f"{kind}-{n}" for kind in ("verdict", "crop") for n in numbers]
    outbox.delivered([one.seq for one in rows])
    assert outbox.depth().rows == 0
    outbox.close()
    assert opened_and_closed(path) == 8


def test_a_file_of_version_3_goes_on_with_its_rows_and_its_count(path: Path) -> None:
    outbox = opened(path)
    for number in range(1, 5):
        outbox.append([verdict(number), crop(number), named_crop(number + 10)]).result(DEADLINE_S)
    outbox.delivered([1])
    outbox.close()
    version_3.turn_back(path)
    outbox = opened(path)
    outbox.append([verdict(5), named_crop(15)]).result(DEADLINE_S)
    assert outbox.depth().kinds == {"verdict": 4, "event": 0, "crop": 9}
    assert ask_again(path, 1, 5) == 1
    assert (outbox.depth().replaying, outbox.depth().rows) == (1, 14)
    rows = outbox.lease(20, replays=1)
    assert len(rows) == 14
    outbox.delivered([one.seq for one in rows])
    assert (outbox.depth().rows, outbox.depth().bytes) == (0, 0)
    outbox.close()


def test_a_damaged_file_of_version_3_is_salvaged(path: Path) -> None:
    outbox = opened(path)
    outbox.append([verdict(1), named_crop(1), crop(2)]).result(DEADLINE_S)
    outbox.close()
    version_3.turn_back(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE tally SET rows = 'x'")
    outbox = opened(path)
    assert outbox.salvaged is not None and outbox.salvaged.is_whole
    assert outbox.depth().bytes == sum(len(one.row.payload) for one in outbox.lease(10))
    outbox.close()


def test_a_migration_that_is_cut_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_1.write(path, delivered=0, waiting=2)
    broken = outbox_file.MIGRATIONS[2].replace("PRAGMA user_version = 2;", "SELECT no_such_function();")
    with monkeypatch.context() as patch, pytest.raises(OutboxError):
        patch.setitem(outbox_file.MIGRATIONS, 2, broken)
        opened(path)
    database = sqlite3.connect(path)
    assert database.execute("SELECT COUNT(*) FROM outbox").fetchone() == (4,)
    database.close()
    assert opened_and_closed(path) == 2


def opened_and_closed(path: Path) -> int:
    outbox = opened(path)
    outbox.close()
    return outbox.last_sequence()


def test_a_file_that_is_no_database_is_set_aside_whole_and_a_fresh_one_started(path: Path) -> None:
    path.write_bytes(b"a diary, not a database. " * 100)
    outbox = opened(path)
    aside = outbox.set_aside
    assert aside is not None
    assert aside.name == "outbox.sqlite3.damaged-20260101T000000"
    assert aside.read_bytes() == b"a diary, not a database. " * 100
    outbox.append([verdict(1)]).result(DEADLINE_S)
    outbox.close()


def test_a_second_damage_in_the_same_second_gets_a_name_of_its_own(path: Path) -> None:
    for text in (b"one" * 1000, b"two" * 1000):
        path.write_bytes(text)
        outbox = opened(path)
        outbox.close()
        assert outbox.set_aside is not None
        assert outbox.set_aside.read_bytes() == text


def damage(path: Path, first_page: int, last_page: int | None = None) -> None:
    """Zeroes over pages, the first being 1."""
    end = path.stat().st_size if last_page is None else last_page * 4096
    with path.open("r+b") as file:
        file.seek((first_page - 1) * 4096)
        file.write(bytes(end - file.tell()))


def test_damage_that_was_met_while_running_is_set_aside_at_the_next_start(path: Path) -> None:
    outbox = opened(path)
    outbox.append([event(number) for number in range(5000)]).result(DEADLINE_S)
    outbox.close()
    pages = path.stat().st_size // 4096
    damage(path, 40, pages - 40)  # all roots are below
    outbox = opened(path)
    assert outbox.set_aside is None
    error = outbox.append([event(number) for number in range(5000, 10_000)]).exception(DEADLINE_S)
    assert isinstance(error, DamagedError)
    outbox.close()
    outbox = opened(path)
    assert outbox.set_aside is not None
    outbox.append([verdict(1)]).result(DEADLINE_S)
    outbox.close()


def test_damage_at_the_head_is_set_aside_at_once(path: Path) -> None:
    outbox = opened(path)
    outbox.append([event(number) for number in range(100)]).result(DEADLINE_S)
    outbox.close()
    damage(path, 2)
    outbox = opened(path)
    assert outbox.set_aside is not None
    outbox.close()


def test_a_suspicion_that_proves_wrong_is_dropped(path: Path) -> None:
    assert opened_and_closed(path) == 0
    outbox_file.suspect(path)
    outbox = opened(path)
    outbox.append([verdict(1)]).result(DEADLINE_S)
    outbox.close()
    assert outbox.set_aside is None
    assert not path.with_name("outbox.sqlite3.suspect").exists()


def test_a_second_agent_is_kept_off_and_told_who_has_the_file(path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from agent.clock import SystemClock;"
        "from agent.outbox.database import Database; from agent.outbox.outbox import Outbox;"
        "o = Outbox(Database(Path(sys.argv[1]), clock=SystemClock()));"
        "o.open(); print(flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            with pytest.raises(OutboxError, match=f"another agent has it .process {child.pid}."):
                Outbox(Database(path, clock=SystemClock())).open()
        finally:
            child.kill()
    assert opened_and_closed(path) == 0


def test_a_failed_open_leaves_the_file_to_others(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(OutboxError, match="newer agent"):
        opened(path)
    place.lock(path).close()


def test_what_sqlite_says_of_damage_is_told_from_other_errors(path: Path) -> None:
    damaged = explained(path, sqlite3.DatabaseError("database disk image is malformed"))
    assert isinstance(damaged, DamagedError)
    assert not isinstance(explained(path, sqlite3.OperationalError("disk I/O error")), DamagedError)

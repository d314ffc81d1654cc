"""The outbox is looked at beside an agent and without one, and never changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.doctor.checks import outbox
from agent.outbox import file as outbox_file
from agent.outbox import place, reserve, waiting
from agent.outbox.database import Database
from agent.outbox.outbox import Outbox
from agent.outbox.schema import SCHEMA_VERSION
from tests.agent.doctor.sites import REAL, machine, running_agent, site, states, told
from tests.agent.outbox import version_1
from tests.agent.outbox.rows import verdict
from tests.brokers import DEADLINE_S

PLACE = {"path": "outbox.sqlite3"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def filled(path: Path) -> Iterator[Outbox]:
    """In use, with a row that waits."""
    one = Outbox(Database(path, clock=SystemClock()))
    one.open()
    one.append([verdict(1)]).result(DEADLINE_S)
    yield one
    one.close()


def alone(path: Path) -> None:
    """As an agent leaves it at its end."""
    one = Outbox(Database(path, clock=SystemClock()))
    one.open()
    one.append([verdict(number) for number in range(1, 200)]).result(DEADLINE_S)
    one.close()


def test_one_that_is_not_there_yet_is_skipped(tmp_path: Path) -> None:
    one = site(tmp_path, outbox=PLACE)
    assert states(outbox.place, one) == ["ok"]
    assert states(outbox.integrity, one) == states(outbox.waiting, one) == ["skipped"]


def test_a_folder_that_is_not_there_is_wrong(tmp_path: Path) -> None:
    one = site(tmp_path, outbox={"path": "none/outbox.sqlite3"})
    assert "mount its disk, or make it" in told(outbox.place, one, "wrong").remedy


def test_an_agent_that_runs_holds_it_and_is_not_disturbed(tmp_path: Path, path: Path, filled: Outbox) -> None:
    one = site(tmp_path, outbox=PLACE)
    assert states(outbox.integrity, one) == ["ok"]
    assert told(outbox.waiting, one, "ok").words.startswith("1 rows wait")
    filled.append([verdict(2)]).result(DEADLINE_S)
    assert states(outbox.integrity, one) == ["ok"]


def test_the_holder_is_named_by_the_kernel(tmp_path: Path, path: Path) -> None:
    one = site(tmp_path, on=machine(tmp_path, root=REAL), outbox=PLACE)
    lock = place.lock_of(path)
    with running_agent(lock, "/usr/bin/plumbline", "run") as pid:
        assert told(outbox.place, one, "ok").words.endswith(f"held by the running agent, process {pid}")
    with running_agent(lock, "something-else") as pid:
        assert f"held by process {pid}" in told(outbox.place, one, "wrong").words
    assert "no agent has it now" in told(outbox.place, one, "ok").words


def test_damage_is_wrong_and_no_word_of_it_is_left(tmp_path: Path, path: Path) -> None:
    alone(path)
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 4))
    before = path.read_bytes()
    one = site(tmp_path, outbox=PLACE)
    said = told(outbox.integrity, one, "wrong")
    assert "plumbline outbox salvage" in said.remedy
    assert path.read_bytes() == before and not outbox_file.is_suspect(path)


def test_a_count_that_cannot_be_is_wrong(tmp_path: Path, path: Path) -> None:
    alone(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE progress SET last_sequence = -1")
        database.commit()
    assert "the last sequence" in told(outbox.integrity, site(tmp_path, outbox=PLACE), "wrong").words


def test_one_of_a_newer_agent_is_wrong_and_one_of_an_older_is_good(tmp_path: Path, path: Path) -> None:
    alone(path)
    one = site(tmp_path, outbox=PLACE)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "newer agent" in told(outbox.integrity, one, "wrong").words
    path.unlink()
    version_1.write(path, delivered=2, waiting=1)
    assert "brought up to date" in told(outbox.integrity, one, "ok").words


def test_an_empty_file_that_had_rows_and_another_programs_database_are_wrong(
    tmp_path: Path, path: Path
) -> None:
    one = site(tmp_path, outbox=PLACE)
    path.touch()
    reserve.beside(path).write_text("5000\n")
    assert "empty, though it had rows" in told(outbox.integrity, one, "wrong").words
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (x)")
    assert "is no outbox" in told(outbox.integrity, one, "wrong").words


def test_word_of_damage_and_rows_that_were_refused_are_noted(
    tmp_path: Path, path: Path, filled: Outbox
) -> None:
    one = site(tmp_path, outbox=PLACE)
    with closing(outbox_file.connect(path, synchronous="NORMAL")) as database:
        waiting.note_refusal(database, "mqtt", 1, "the broker said Not authorized (0x87)", 0)
    assert "refused 1 rows" in told(outbox.waiting, one, "note").words
    outbox_file.suspect(path)
    assert "restart the agent" in told(outbox.integrity, one, "note").remedy


def test_a_full_outbox_is_wrong_and_rows_that_wait_for_long_are_noted(
    tmp_path: Path, path: Path, filled: Outbox
) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE tally SET bytes = 9500000 WHERE class = (SELECT MIN(class) FROM waiting)")
        database.execute("UPDATE record SET lived_ns = lived_ns - 7200000000000")
        database.commit()
    one = site(tmp_path, on=machine(tmp_path, clock=SystemClock()), outbox={**PLACE, "max_bytes": 10_000_000})
    assert "95% of outbox.max_bytes" in told(outbox.waiting, one, "wrong").words
    assert "waits for 2.0 h" in told(outbox.waiting, one, "note").words

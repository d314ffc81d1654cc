"""A number that somebody changed in the file's small tables stops no station, and costs no row that waits."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.outbox import file as outbox_file
from agent.outbox.cursor import Cursor
from agent.outbox.database import Database
from agent.outbox.file import DamagedError
from agent.outbox.outbox import Outbox
from tests.agent.outbox.rows import crop, event, verdict
from tests.brokers import DEADLINE_S

DELIVERED, VERDICTS = 10, 30
VALUES = (None, "text", b"\xff\xfe", -1, 0, 7, 1.5, 1 << 40, (1 << 63) - 1)
COLUMNS = [
    *(("progress", name) for name in ("last_sequence", "undigested")),
    *(("tally", name) for name in ("class", "rows", "bytes")),
    *(("cursor", name) for name in ("name", "seq", "rows")),
    *(("age", name) for name in ("boot", "monotonic_ns", "wall_ns", "synced", "lived_ns")),
    *(("waiting", name) for name in ("seq", "class", "size", "round")),
    *(("dead_letter", name) for name in ("place", "seq", "attempts")),
    *(("command", name) for name in ("id", "performed_ns")),
    ("sqlite_sequence", "seq"),
    ("history", "seq"),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "outbox.sqlite3"
    database, outbox = opened_both(path)
    cursor = Cursor(database, "archive")
    cursor.open()
    for number in range(1, VERDICTS + 1):
        outbox.append([verdict(number), crop(number), event(number)]).result(DEADLINE_S)
        if number == DELIVERED:
            outbox.delivered([one.seq for one in outbox.lease(1000)])
    cursor.close()
    outbox.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO command VALUES ('c1', 5)")
        file.execute("INSERT INTO dead_letter VALUES ('mqtt', 60, 'no', 1, 2, 3)")
    return path


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    for part in written.parent.iterdir():
        shutil.copy(part, tmp_path / part.name)
    return tmp_path / written.name


def opened(path: Path) -> Outbox:
    return opened_both(path)[1]


def opened_both(path: Path) -> tuple[Database, Outbox]:
    database = Database(path, clock=ManualClock())
    outbox = Outbox(database)
    outbox.open()
    return database, outbox


def used(path: Path) -> set[str]:
    """Ids of all that is delivered from it, as a station would; its restarts are in it."""
    found: set[str] = set()
    for _ in range(3):
        database, outbox = opened_both(path)
        try:
            last = outbox.last_sequence()
            outbox.append([verdict(last + 1)]).result(DEADLINE_S)
            while rows := outbox.lease(20):
                found |= {one.row.id for one in rows}
                outbox.delivered([one.seq for one in rows])
            cursor = Cursor(database, "archive")
            cursor.open()
            while rows := cursor.next(20):
                cursor.advance(rows[-1].seq)
            cursor.close()
            assert outbox.depth().rows >= 0
            assert VERDICTS <= last < 20_000
            return found
        except DamagedError:
            continue
        finally:
            outbox.close()
    raise AssertionError("it is not mended")


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_any_number_of_the_small_tables_may_be_another(path: Path, table: str, column: str) -> None:
    wanted = {one.id for n in range(DELIVERED + 1, VERDICTS + 1) for one in (verdict(n), crop(n), event(n))}
    rng = random.Random(f"{table} {column}")
    values = [*rng.sample(VALUES, 4), rng.randrange(1 << 62)]
    for number, value in enumerate(values):
        spoilt = path.parent / str(number) / path.name
        spoilt.parent.mkdir()
        for part in path.parent.glob("outbox*"):
            shutil.copy(part, spoilt.parent / part.name)
        with closing(sqlite3.connect(spoilt, isolation_level=None)) as database:
            key = database.execute(f"SELECT MAX({column}) FROM {table}").fetchone()[0]
            try:
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", (value, key))
            except sqlite3.IntegrityError:
                continue  # no page can hold that, either
        if table in ("waiting", "history", "tally"):
            outbox_file.suspect(spoilt)
        missing = wanted - used(spoilt)
        assert not missing, f"{table}.{column} = {value!r}: {missing}"


@pytest.mark.parametrize("report", ["x", "[]", "{}", '{"lost_rows": 5}', None, b"\xff"])
def test_a_report_that_is_none_is_damage_which_mends_itself(path: Path, report: object) -> None:
    """It was read at each start, which ended there."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE salvage")
        database.execute("CREATE TABLE salvage (report)")
        database.execute("INSERT INTO salvage VALUES (?)", (report,))
    outbox = opened(path)
    assert outbox.salvaged is not None
    assert outbox.depth().kinds["verdict"] == VERDICTS - DELIVERED
    outbox.close()


def test_text_that_is_no_text_is_left_behind_by_a_salvage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE command SET id = CAST(x'fffe41' AS TEXT)")
        database.execute("UPDATE dead_letter SET reason = CAST(x'c0' AS TEXT)")
        database.execute("UPDATE cursor SET name = CAST(x'80' AS TEXT)")
        database.execute("UPDATE tally SET rows = 7000 WHERE class = 0")
    outbox_file.suspect(path)
    outbox = opened(path)
    assert outbox.salvaged is not None
    assert outbox.depth().kinds["verdict"] == VERDICTS - DELIVERED
    outbox.close()


def test_a_place_beyond_the_end_is_lost_and_the_gateway_is_given_all_that_is_left(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE cursor SET seq = 1 << 40")
    database, outbox = opened_both(path)
    assert outbox.salvaged is not None and outbox.salvaged.cursors_lost
    cursor = Cursor(database, "archive")
    cursor.open()
    assert cursor.next(1)[0].seq == 1
    cursor.close()
    outbox.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_older_version_in_front_of_these_tables_is_damage(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    outbox = opened(path)
    assert outbox.salvaged is not None and outbox.salvaged.is_whole
    outbox.close()


@pytest.mark.parametrize("place", range(16, 24))
def test_a_head_that_forbids_to_write_or_read_is_damage(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff")
    assert len(used(path)) >= 3 * (VERDICTS - DELIVERED)

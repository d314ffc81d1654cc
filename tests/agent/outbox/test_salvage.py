"""Whatever lies in place of a page, every row that can still be read goes into the fresh file, in order."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.contract.row import Row
from agent.outbox import file as outbox_file
from agent.outbox import mend, reserve, salvage, sqlite_pages, sqlite_trees
from agent.outbox.cursor import Cursor
from agent.outbox.database import Database
from agent.outbox.file import OutboxError
from agent.outbox.outbox import Outbox
from agent.outbox.salvage import Salvage, gaps, spans
from tests.agent.outbox import version_1
from tests.agent.outbox.rows import crop, event, verdict
from tests.brokers import DEADLINE_S

PAGE = 4096
DELIVERED, WAITING = 60, 120


def big(row: Row, size_bytes: int) -> Row:
    payload = json.dumps({"id": row.id, "filling": "f" * size_bytes}).encode()
    return dataclasses.replace(row, payload=payload)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Verdicts with crops and events, the first DELIVERED of each with the broker, and two gateways."""
    path = tmp_path_factory.mktemp("written") / "outbox.sqlite3"
    database, outbox = opened_both(path)
    for name in ("archive", "mes"):
        cursor = Cursor(database, name)
        cursor.open()
        cursor.close()
    for number in range(1, DELIVERED + WAITING + 1):
        rows = [big(verdict(number), 1200), crop(number, 300 if number % 3 else 9000)]
        outbox.append([*rows, event(number)] if number % 5 == 0 else rows).result(DEADLINE_S)
        if number == DELIVERED:
            outbox.delivered([one.seq for one in outbox.lease(1000)])
    cursor = Cursor(database, "archive")
    cursor.open()
    cursor.advance(50)
    cursor.close()
    outbox.close()
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


def rows_of(path: Path) -> dict[int, Row]:
    outbox = opened(path)
    found = {one.seq: one.row for one in outbox.lease(100_000)}
    outbox.close()
    return found


def overwrite(path: Path, page: int, noise: bytes) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(noise)


def mended(path: Path) -> tuple[Salvage, dict[int, Row]]:
    """As at the next start after somebody met damage."""
    outbox_file.suspect(path)
    outbox = opened(path)
    try:
        assert outbox.salvaged is not None
        return outbox.salvaged, {one.seq: one.row for one in outbox.lease(100_000)}
    finally:
        outbox.close()


def pages_by_kind(path: Path) -> dict[str, list[int]]:
    """Of every tree in the file, and what no tree has."""
    kinds: dict[str, list[int]] = {}
    with sqlite_pages.opened(path) as pages, closing(sqlite3.connect(path)) as database:
        trees = [("schema", 1, False)] + [
            (name, root, kind == "index" or "WITHOUT ROWID" in (sql or ""))
            for kind, name, root, sql in database.execute(
                "SELECT type, name, rootpage, sql FROM sqlite_master WHERE rootpage"
            )
        ]
        seen = set()
        for name, root, index in trees:
            for number in sqlite_trees.walk(pages, root, index=index).pages:
                page = pages.page(number)
                assert page is not None
                inner = page[100 if number == 1 else 0] in (2, 5)
                kinds.setdefault(f"{name}{' inner' if inner else ''}", []).append(number)
                seen.add(number)
        kinds["others"] = [number for number in range(2, pages.count + 1) if number not in seen]
    return kinds


def test_every_page_may_be_noise(path: Path, tmp_path: Path) -> None:
    before = rows_of(path)
    rng = random.Random(1)
    victims = [(kind, rng.choice(numbers)) for kind, numbers in pages_by_kind(path).items() for _ in range(2)]
    assert len({kind for kind, _ in victims}) >= 15
    for number, (kind, page) in enumerate(victims):
        folder = tmp_path / str(number)
        folder.mkdir()
        spoilt = folder / path.name
        shutil.copy(path, spoilt)
        shutil.copy(reserve.beside(path), reserve.beside(spoilt))
        noise = rng.randbytes(PAGE) if number % 2 else bytes(PAGE)
        overwrite(spoilt, page, noise)
        outbox_file.suspect(spoilt)
        outbox = opened(spoilt)
        found = {one.seq: one.row for one in outbox.lease(100_000)}
        told = outbox.salvaged
        said = f"{kind}, page {page}: {told}"
        assert all(before[seq] == row for seq, row in found.items() if seq in before), said
        extra = found.keys() - before.keys()
        assert all(seq <= 2 * DELIVERED + DELIVERED // 5 for seq in extra), "only what was delivered, again"
        missing = before.keys() - found.keys()
        if kind not in ("record", "others"):
            assert not missing, said
            assert told is None or kind.startswith("record inner") or not told.lost, said
        assert len(missing) < 20, said
        if missing and told is not None:
            lost = {before[seq].sequence for seq in missing} - {None}
            named = {n for first, last in told.lost_sequences for n in range(first, last + 1)}
            assert lost <= named, said
            assert told.lost >= len(missing), said
        assert outbox.last_sequence() >= DELIVERED + WAITING, said
        assert outbox.last_sequence() == DELIVERED + WAITING or kind in ("schema", "progress"), said
        outbox.append([verdict(outbox.last_sequence() + 1)]).result(DEADLINE_S)
        if told is not None and not told.cursors_lost:
            assert readers(outbox) == {"archive", "mes"}, said
        outbox.close()
        if told is not None:
            aside = Path(told.file)
            assert aside.stat().st_size == path.stat().st_size
            with aside.open("rb") as file:
                file.seek((page - 1) * PAGE)
                assert file.read(PAGE) == noise
        with closing(sqlite3.connect(spoilt)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], said
            tallied = database.execute("SELECT class, rows FROM tally WHERE rows ORDER BY 1").fetchall()
            counted = database.execute("SELECT class, COUNT(*) FROM waiting GROUP BY 1 ORDER BY 1").fetchall()
            assert tallied == counted


def readers(outbox: Outbox) -> set[str]:
    return {one.name for one in outbox.depth().readers if one.name != "mqtt"}


DESTRUCTIONS: dict[str, Callable[[Path], object]] = {
    "half of it": lambda path: os.truncate(path, path.stat().st_size // 2 + 100),
    "the first page": lambda path: overwrite(path, 1, bytes(PAGE)),
    "the first ten pages": lambda path: overwrite(path, 1, random.Random(2).randbytes(10 * PAGE)),
    "its user version": lambda path: overwrite_at(path, 60, b"\xff\xff\xff\xf0"),
    "its user version, to zero": lambda path: overwrite_at(path, 60, bytes(4)),
    "its page size": lambda path: overwrite_at(path, 16, b"\x00\x03"),
    "all but the magic": lambda path: overwrite_at(path, 16, bytes(84)),
    "everything": lambda path: path.write_bytes(b""),
    "everything, with noise": lambda path: path.write_bytes(random.Random(3).randbytes(100_000)),
    "everything, with a diary": lambda path: path.write_text("a diary"),
}


def overwrite_at(path: Path, place: int, noise: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(noise)


@pytest.mark.parametrize("what", DESTRUCTIONS)
def test_a_head_that_is_destroyed_costs_no_row_and_no_number_is_given_twice(path: Path, what: str) -> None:
    before = rows_of(path)
    DESTRUCTIONS[what](path)
    told, found = mended(path)
    gone = what.startswith("everything")
    half = what == "half of it"
    assert all(before[seq] == row for seq, row in found.items() if seq in before)
    if not gone and not half:
        assert before.keys() <= found.keys() or what == "the first ten pages", told
    assert len(found) > (len(before) // 6 if half else 0 if gone else len(before) - 30) or gone
    assert told.next_sequence > DELIVERED + WAITING
    assert told.next_sequence <= DELIVERED + WAITING + 2 * reserve.AHEAD
    assert told.lost_verdicts or not gone


def test_a_log_that_was_not_written_back_is_salvaged_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = opened(path)
    for number in range(1, 201):
        outbox.append([big(verdict(number), 900)]).result(DEADLINE_S)
    copied = tmp_path / "copy" / path.name
    copied.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(path.with_name(path.name + suffix), copied.with_name(copied.name + suffix))
    outbox.close()
    log = copied.with_name(copied.name + "-wal")
    assert log.stat().st_size > 50 * PAGE
    frame = PAGE + 24
    overwrite_at(log, 32 + 20 * frame + 500, random.Random(4).randbytes(300))
    with log.open("ab") as file:
        file.write(struct.pack(">6I", 1, 1, 2, 3, 4, 5) + bytes(2000))  # a torn end
    told, found = mended(copied)
    assert len(found) >= 195, told
    assert Path(told.file + "-wal").exists()


def test_an_empty_file_beside_a_log_is_no_new_outbox(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = opened(path)
    for number in range(1, 21):
        outbox.append([verdict(number)]).result(DEADLINE_S)
    log = path.with_name(path.name + "-wal").read_bytes()
    outbox.close()
    path.write_bytes(b"")
    path.with_name(path.name + "-wal").write_bytes(log)
    reserve.beside(path).unlink()
    outbox = opened(path)
    assert len(outbox.lease(100)) == 20
    assert outbox.last_sequence() == 20
    outbox.close()


def test_a_file_of_version_1_is_salvaged_with_digests(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    version_1.write(path, delivered=30, waiting=400)
    overwrite(path, path.stat().st_size // PAGE // 2, bytes(PAGE))
    told, found = mended(path)
    assert 700 < len(found) < 800
    assert told.next_sequence == 431
    assert told.lost == 800 - len(found)


STEPS = [(salvage, "_write_beside"), (os, "fsync"), (Path, "rename"), (Path, "unlink"), (mend, "sync_folder")]


@pytest.mark.parametrize(("place", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_salvage_that_is_killed_anywhere_is_done_at_the_next_start(
    path: Path, tmp_path: Path, place: object, name: str
) -> None:
    before = rows_of(path)
    overwrite(path, pages_by_kind(path)["record"][30], bytes(PAGE))
    spoilt = path.read_bytes()
    outbox_file.suspect(path)
    killed = 0
    for number in range(8):
        copied = tmp_path / str(number) / path.name
        copied.parent.mkdir()
        for suffix in ("", ".suspect", ".sequence"):
            shutil.copy(path.with_name(path.name + suffix), copied.with_name(copied.name + suffix))
        killed += mended_until_killed(copied, place, name, number)
        asides = [one for one in copied.parent.glob("*damaged*") if not one.name.endswith(("-wal", "-shm"))]
        assert spoilt in [one.read_bytes() for one in [copied, *asides] if one.exists()]
        found = rows_of(copied)
        assert len(before) - 10 < len(found) <= len(before)
        assert not list(copied.parent.glob("*.fresh*"))
        assert len(list(copied.parent.glob("*damaged*"))) == 1
    assert killed


def mended_until_killed(path: Path, place: object, name: str, calls: int) -> bool:
    """Whether the process that mends died, which it does when it calls `name` once more than so often."""
    child = os.fork()
    if child == 0:
        left = iter(range(calls))
        real = getattr(place, name)

        def die(*args: object, **others: object) -> object:
            if next(left, None) is None:
                os._exit(9)
            return real(*args, **others)

        setattr(place, name, die)
        try:
            mend.open_or_mend(path, clock=ManualClock())
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_disk_that_is_full_leaves_the_damaged_file_and_no_half_of_a_fresh_one(path: Path) -> None:
    import resource

    overwrite(path, pages_by_kind(path)["record"][30], bytes(PAGE))
    outbox_file.suspect(path)
    spoilt = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OutboxError, match="cannot be written"):
            opened(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == spoilt
    assert not list(path.parent.glob("*.fresh*"))
    told, _ = mended(path)
    assert told.lost < 10


def test_gateways_begin_anew_with_what_is_left_when_their_cursors_are_lost(path: Path) -> None:
    kinds = pages_by_kind(path)
    (page,) = kinds["cursor"]
    overwrite(path, page, bytes(PAGE))
    outbox_file.suspect(path)
    database, outbox = opened_both(path)
    assert outbox.salvaged is not None and outbox.salvaged.cursors_lost
    cursor = Cursor(database, "archive")
    cursor.open()
    assert cursor.next(1)[0].seq == 1
    cursor.close()
    outbox.close()


def test_runs_of_numbers_are_told_by_their_ends() -> None:
    assert list(spans([])) == []
    assert list(spans([3])) == [(3, 3)]
    assert list(spans([1, 2, 3, 7, 9, 10])) == [(1, 3), (7, 7), (9, 10)]


def test_what_is_missing_between_two_numbers() -> None:
    assert list(gaps([], 1, 3)) == [(1, 3)]
    assert list(gaps([2, 3, 6], 1, 8)) == [(1, 1), (4, 5), (7, 8)]
    assert list(gaps([1, 2], 1, 2)) == []


def test_a_last_number_that_was_changed_is_not_believed(path: Path) -> None:
    for wrong in (1 << 60, 10):
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE progress SET last_sequence = ?", (wrong,))
        overwrite(path, pages_by_kind(path)["waiting_order"][0], bytes(PAGE))
        told, found = mended(path)
        assert DELIVERED + WAITING < told.next_sequence <= DELIVERED + WAITING + 2 * reserve.AHEAD
        assert len(found) >= WAITING
        for part in path.parent.glob("*damaged*"):
            part.unlink()

"""The folder keeps its bounds and whole entries, whatever is done to it between two openings."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from agent import durable
from agent.archive import files, shelf
from agent.archive.chunks import chunk
from agent.archive.entry import VERDICT, EntryError
from agent.archive.faults import ArchiveError, NoRoomError
from agent.archive.index import NAME, Index, Query
from agent.archive.record import Mark
from agent.archive.shelf import Shelf
from agent.clock import ManualClock
from agent.messages import VerdictName
from agent.settings.archive import Archive
from tests.agent.archive.records import LIMITS, MORNING, limits, picture, record, result_id
from tests.faults.small_disk import enlarge, may_mount, small_disk

MARK = Mark(word="confirmed", by="Ada", at=MORNING)
ENTRY_BYTES = sum(map(len, record()[1]))


def of(folder: Path, wanted: Archive = LIMITS, **more: Any) -> Shelf:
    return Shelf(folder, wanted, clock=more.pop("clock", None) or ManualClock(MORNING), **more)


@contextmanager
def opened(folder: Path, wanted: Archive = LIMITS, **more: Any) -> Iterator[Shelf]:
    one = of(folder, wanted, **more)
    one.open()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def put(one: Shelf, number: int, name: VerdictName = "fail") -> bool:
    return one.put(*record(number, name=name))


def kept(one: Shelf) -> list[int]:
    """Numbers of what the index has, all of which must be readable; oldest first."""
    found = [entry.head.id for entry in one.find(Query(limit=10_000))]
    on_disk = sorted(file.id for file in files.scan(one.folder))
    assert sorted(found) == on_disk
    for id_ in found:
        one.read(id_)
    totals = one.totals()
    assert (totals.entries, totals.size_bytes) == (
        one.entries,
        sum(file.size for file in files.scan(one.folder)),
    )
    assert one.size_bytes >= totals.size_bytes
    return sorted(int(id_[-12:]) for id_ in found)


def room_for(entries: int) -> int:
    """The bound at which so many entries and half of one more fit."""
    return round((entries + 0.5) * ENTRY_BYTES)


@pytest.fixture
def _an_index_without_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log weighs more than the small entries of these tests."""
    monkeypatch.setattr(Index, "size_bytes", lambda _: 0)


weightless = pytest.mark.usefixtures("_an_index_without_weight")


def test_what_is_put_is_found_and_read_also_by_the_next_process(folder: Path) -> None:
    with opened(folder) as one:
        assert put(one, 1)
    with opened(folder) as one:
        assert kept(one) == [1]
        assert np.array_equal(one.read(result_id(1)).frame.image, picture(seed=1))


@weightless
def test_the_bytes_are_never_above_the_bound_and_passes_go_first(folder: Path) -> None:
    with opened(folder) as one:
        for number, name in enumerate(("fail", "pass", "undecided", "pass"), start=1):
            put(one, number, name)  # type: ignore[arg-type]
        bound = room_for(4)
    with opened(folder, limits(max_bytes=bound)) as one:
        for number, left in ((5, [1, 3, 4, 5]), (6, [1, 3, 5, 6]), (7, [1, 5, 6, 7]), (8, [5, 6, 7, 8])):
            assert put(one, number)
            assert one.size_bytes <= bound
            assert kept(one) == left
        assert one.evicted == 4


def test_the_index_counts_too(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        on_disk = sum(
            file.stat().st_size
            for file in folder.rglob("*.*")
            if file.suffix in (".png", ".sqlite3", ".sqlite3-wal")
        )
        assert one.size_bytes == on_disk


@weightless
def test_what_would_be_the_first_to_go_is_not_taken(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        bound = room_for(1)
    with opened(folder, limits(max_bytes=bound)) as one:
        assert not put(one, 2, "pass")
        assert not put(one, 3, "undecided")
        assert kept(one) == [1]
    with opened(folder, limits(max_bytes=bound, keep_longest="newest")) as one:
        assert put(one, 4, "pass")
        assert kept(one) == [4]


@weightless
def test_marked_entries_stay_and_say_so_when_nothing_else_is_left(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        one.mark(result_id(1), MARK)
        bound = room_for(1)
    with opened(folder, limits(max_bytes=bound)) as one:
        with pytest.raises(NoRoomError, match=r"nothing is left in it that may go, and .*take marks back"):
            put(one, 2)
        assert not one.has_room(ENTRY_BYTES)
        one.mark(result_id(1), None)
        assert put(one, 3)
        assert kept(one) == [3]


@weightless
def test_a_lower_bound_than_last_time_is_held_marks_last(folder: Path) -> None:
    with opened(folder) as one:
        for number in (1, 2, 3):
            put(one, number)
        one.mark(result_id(1), MARK)
        bound = room_for(1)
    with opened(folder, limits(max_bytes=bound)) as one:
        assert not one.tidy()
        assert kept(one) == [1]
    with opened(folder, limits(max_bytes=1)) as one:
        one.tidy()
        assert kept(one) == []


def test_room_for_others_on_the_disk_is_made_of_what_has_no_mark(folder: Path) -> None:
    free = [10_000_000]
    wanted = limits(min_free_bytes=1_000_000)
    with opened(folder, wanted, disk_free_bytes=lambda _: free[0]) as one:
        for number in (1, 2, 3):
            put(one, number)
        one.mark(result_id(2), MARK)
        free[0] = 1_000_000 - 1
        one.tidy()
        assert kept(one) == [2, 3]
        one.tidy()
        assert kept(one) == [2]
        one.tidy()
        with pytest.raises(NoRoomError, match="free space on its disk"):
            put(one, 4)
        assert kept(one) == [2]
        free[0] = 10_000_000
        assert put(one, 5)


def test_days_are_held_but_for_marked_entries(folder: Path) -> None:
    clock = ManualClock(MORNING)
    with opened(folder, limits(days=2.0), clock=clock) as one:
        for number in (1, 2):
            put(one, number)
        one.mark(result_id(1), MARK)
        for _ in range(49):
            one.tidy()
            clock.advance(3600)
        assert kept(one) == [1, 2] and not one.tidy()
        assert kept(one) == [1]


class LeapingClock(ManualClock):
    """The wall clock is set while the machine runs."""

    ahead = timedelta()

    def utc_now(self) -> Any:
        return super().utc_now() + self.ahead


def test_a_clock_that_is_set_ahead_by_mistake_clears_nothing_for_a_day(folder: Path) -> None:
    clock = LeapingClock(MORNING)
    with opened(folder, clock=clock) as one:
        put(one, 1)
        one.tidy()
        clock.ahead = timedelta(days=4000)
        one.tidy()
        clock.advance(20 * 3600)
        one.tidy()
        assert kept(one) == [1]
        clock.ahead = timedelta()
        one.tidy()
        assert kept(one) == [1]


def test_marks_are_on_the_disk_and_in_the_index(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        changed = one.mark(result_id(1), MARK)
        assert changed == one.get(result_id(1)) and changed.head.mark == MARK
    (folder / NAME).unlink()
    with opened(folder) as one:
        assert [entry.head.mark for entry in one.find(Query(mark="any"))] == [MARK]
        assert one.read(result_id(1)).mark == MARK
        with pytest.raises(ArchiveError, match="the archive has no such entry"):
            one.mark(result_id(9), MARK)


@pytest.mark.parametrize("harm", ["removed", "damaged", "version"])
def test_the_index_is_rebuilt_from_the_files(folder: Path, harm: str) -> None:
    with opened(folder) as one:
        for number, name in enumerate(("fail", "pass", "undecided"), start=1):
            put(one, number, name)  # type: ignore[arg-type]
        one.mark(result_id(2), MARK)
        before = one.find(Query())
    if harm == "removed":
        (folder / NAME).unlink()
    elif harm == "damaged":
        (folder / NAME).write_bytes(b"no database" * 1000)
    else:
        with closing(sqlite3.connect(folder / NAME)) as database:
            database.execute("PRAGMA user_version = 77")
    with opened(folder) as one:
        assert one.find(Query()) == before


def test_what_was_removed_added_and_changed_by_hand_is_noticed(folder: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "other") as other:
        put(other, 7)
        put(other, 1)
        other.mark(result_id(1), MARK)
    with opened(folder) as one:
        put(one, 1)
        put(one, 2)
    day = folder / "2026-11-24"
    (day / f"{result_id(2)}.png").unlink()
    for number in (1, 7):
        shutil.copy(tmp_path / "other" / "2026-11-24" / f"{result_id(number)}.png", day)
    with opened(folder) as one:
        assert kept(one) == [1, 7]
        assert one.get(result_id(1)).head.mark == MARK  # type: ignore[union-attr]


def test_foreign_files_are_left_and_not_counted(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        used = one.totals()
    day = folder / "2026-11-24"
    theirs = {
        folder / "README": b"theirs",
        day / f"{result_id(2)}.png": b"theirs, though it is named as ours",
        day / f"{result_id(3)}.png": (day / f"{result_id(1)}.png").read_bytes(),  # a copy under another name
    }
    for path, content in theirs.items():
        path.write_bytes(content)
    one = of(folder, limits(max_bytes=1))
    found = one.open()
    assert sorted(found.foreign) == sorted(path for path in theirs if path.parent == day)
    assert one.totals() == used
    one.tidy()
    assert one.totals().entries == 0
    assert {path: path.read_bytes() for path in theirs} == theirs
    for path in found.foreign:
        path.unlink()
    assert one.look_again(found).foreign == ()
    one.close()


def test_no_content_of_a_file_keeps_the_archive_from_opening(folder: Path) -> None:
    day = folder / "2026-11-24"
    day.mkdir(parents=True)
    for number, content in enumerate((b"[" * 100_000, b'{"part_id":{}}', b'"\\udcff"', b"\xff"), start=2):
        file = record(number)[1]
        file[2] = chunk(VERDICT, content)
        (day / f"{result_id(number)}.png").write_bytes(b"".join(file))
    with opened(folder) as one:
        assert put(one, 1)
        assert one.entries == 1


def test_torn_entries_are_named_and_moved_aside(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        put(one, 2)
    path = folder / "2026-11-24" / f"{result_id(1)}.png"
    path.write_bytes(path.read_bytes()[:-1])
    one = of(folder)
    with structlog.testing.capture_logs() as logs:
        found = one.open()
    assert found.torn == 1
    assert [log["file"] for log in logs if log["event"] == "archive_entry_torn"] == [str(path)]
    assert kept(one) == [2]
    shutil.rmtree(folder / "torn")
    assert one.look_again(found).torn == 0
    one.close()


def test_an_entry_that_was_changed_on_the_disk_is_not_given_out(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        path = folder / one.get(result_id(1)).path  # type: ignore[union-attr]
        data = bytearray(path.read_bytes())
        data[-200] ^= 1
        path.write_bytes(data)
        with pytest.raises(EntryError, match="was changed after it was written"):
            one.read(result_id(1))
        with pytest.raises(ArchiveError, match="was changed after it was written"):
            one.mark(result_id(1), MARK)
        path.unlink()
        with pytest.raises(EntryError, match="cannot be read"):
            one.read(result_id(1))


class Cut(BaseException):
    """The power goes."""


STEPS: list[tuple[Any, str]] = [
    (files, "put"),
    (durable, "sync_folder"),
    (files, "remove"),
    (Index, "add"),
    (Index, "forget"),
]


@weightless
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "step"), STEPS)
@pytest.mark.parametrize(
    "work", [lambda one: put(one, 4), lambda one: one.mark(result_id(2), MARK), lambda one: one.tidy()]
)
def test_a_cut_at_any_step_leaves_whole_entries_and_an_index_that_knows_them(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    step: str,
    after: bool,
    work: Callable[[Shelf], object],
) -> None:
    with opened(folder) as one:
        for number in (1, 2, 3):
            put(one, number)
        bound = room_for(2)
    real = getattr(where, step)

    def cut(*args: Any) -> None:
        if after:
            real(*args)
        raise Cut

    one = of(folder, limits(max_bytes=bound))
    one.open()
    with monkeypatch.context() as broken:
        broken.setattr(where, step, cut)
        with suppress(Cut):
            work(one)
    one.close()
    with opened(folder) as one:
        left = kept(one)
        assert set(left) <= {1, 2, 3, 4} and left
        assert put(one, 5)


def test_a_full_disk_is_told_and_taken_again_once_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not may_mount(folder):
        pytest.skip("only root may mount a small disk")
    with small_disk(folder, megabytes=1), opened(folder / "archive") as one:
        number = 0
        full = r"(No space left on device|disk is full); free space on that disk"
        with pytest.raises(ArchiveError, match=full):
            while number < 2000:
                number += 1
                put(one, number)
        assert number < 2000
        one.close()
        with pytest.raises(ArchiveError, match="No space left on device; free space on that disk"):
            one.open(need_bytes=1_000_000)
        enlarge(folder, megabytes=4)
        one.open(need_bytes=1_000_000)
        assert put(one, number)
        assert kept(one)[-1] == number


def test_on_a_disk_that_others_filled_its_own_entries_make_room_for_the_index(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not may_mount(folder):
        pytest.skip("only root may mount a small disk")
    with small_disk(folder, megabytes=6):
        archive = folder / "archive"
        with opened(archive) as one:
            assert all(put(one, number, "pass" if number % 2 else "fail") for number in range(1, 301))
            one.mark(result_id(1), MARK)
        (folder / "others").write_bytes(b"x" * shutil.disk_usage(folder).free)
        assert shutil.disk_usage(folder).free == 0
        with opened(archive) as one:
            left = kept(one)
            assert 0 < one.evicted == 300 - len(left)
            assert 1 in left and set(range(2, 301, 2)) <= set(left), "passes go, and none with a mark"


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    with pytest.raises(ArchiveError, match="Not a directory; something else has this name"):
        of(tmp_path / "file" / "archive").open()
    with pytest.raises(ArchiveError, match="File exists; something else has this name"):
        of(tmp_path / "file").open()


def test_a_folder_that_may_not_be_written_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(files, "take_room", refuse)
    with pytest.raises(ArchiveError, match=f"{folder}: Permission denied; let the agent's user write there"):
        of(folder).open()


def test_a_folder_that_vanishes_is_told_and_made_anew_at_the_next_open(folder: Path) -> None:
    with opened(folder) as one:
        put(one, 1)
        shutil.rmtree(folder)
        with pytest.raises(ArchiveError, match="No such file or directory; check that disk"):
            put(one, 2)
        one.close()
        one.open()
        assert put(one, 3) and kept(one) == [3]


def test_two_agents_do_not_share_a_folder(folder: Path) -> None:
    with opened(folder), pytest.raises(ArchiveError, match="another agent has it"):
        of(folder).open()


def test_another_programs_database_in_the_indexs_place_is_told(folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / NAME)) as database:
        database.execute("CREATE TABLE theirs (x)")
    with pytest.raises(ArchiveError, match="another program's database; move it away"):
        of(folder).open()


def test_a_closed_shelf_says_so_to_whoever_asks(folder: Path) -> None:
    one = of(folder)
    for ask in (lambda: put(one, 1), lambda: one.find(Query()), one.totals, one.tidy):
        with pytest.raises(ArchiveError, match="is not open"):
            ask()
    one.close()
    assert one.size_bytes == 0 and shelf.AT_ONCE > 1


def test_another_folder_in_the_place_of_the_opened_one_is_noticed_before_anything_is_written(
    folder: Path, tmp_path: Path
) -> None:
    with opened(folder) as one:
        assert put(one, 1)
        folder.rename(tmp_path / "away")
        folder.mkdir()
        with pytest.raises(ArchiveError, match="another folder took its place; it is opened anew"):
            put(one, 2)
        assert list(folder.iterdir()) == []
        one.close()
        one.open()
        assert put(one, 2) and kept(one) == [2]
    assert len(list(files.scan(tmp_path / "away"))) == 1

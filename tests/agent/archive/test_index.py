"""The index answers by time, camera, verdict, score and mark, and begins anew when it is no good."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from agent.archive import entry
from agent.archive.files import File
from agent.archive.index import MARKED, NAME, VERSION, ForeignIndexError, Index, Query
from agent.archive.record import Mark
from agent.messages import VerdictName
from tests.agent.archive.records import MORNING, RECIPE, result_id, verdict

MARK = Mark(word="confirmed", by="Ada", at=MORNING)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    one = Index(tmp_path / NAME)
    one.open()
    yield one
    one.close()


def add(
    index: Index,
    number: int,
    name: VerdictName = "fail",
    *,
    camera: str = "top",
    score: float | None = 0.5,
    mark: Mark | None = None,
) -> None:
    head = entry.head_of(verdict(number, name=name, camera=camera, score=score), RECIPE)
    with index.change():
        index.add(replace(head, mark=mark), File(id=head.id, day="2026-11-24", size=number, mtime_ns=number))


def numbers(index: Index, query: Query) -> list[int]:
    return [one.file.size for one in index.find(query)]


def test_entries_are_found_newest_first_as_they_were_added(index: Index) -> None:
    add(index, 1)
    add(index, 2, mark=MARK)
    found = index.find(Query())
    assert [one.file for one in found] == [
        File(id=result_id(2), day="2026-11-24", size=2, mtime_ns=2),
        File(id=result_id(1), day="2026-11-24", size=1, mtime_ns=1),
    ]
    assert found[0].head == replace(entry.head_of(verdict(2, score=0.5), RECIPE), mark=MARK)
    assert index.get(result_id(1)) == found[1]
    assert index.get(result_id(3)) is None
    head = replace(found[1].head, lines=40, boxes=((1, 2, 3, 4), (5, 6, 7, 8)))
    with index.change():
        index.add(head, found[1].file)
    assert index.find(Query())[1].head == head
    assert found[0].path == Path("2026-11-24", f"{result_id(2)}.png")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(since=MORNING + timedelta(seconds=3)), [5, 4, 3]),
        (Query(until=MORNING + timedelta(seconds=3)), [2, 1]),
        (Query(camera="side"), [4, 2]),
        (Query(verdict="fail"), [4, 3]),
        (Query(lowest_score=0.3), [4, 3]),
        (Query(highest_score=0.2), [2, 1]),
        (Query(mark="any"), [4, 1]),
        (Query(mark="none"), [5, 3, 2]),
        (Query(mark="missed_defect"), [1]),
        (Query(camera="side", verdict="pass"), [2]),
        (Query(limit=2), [5, 4]),
        (Query(limit=2, after=(verdict(4).created, result_id(4))), [3, 2]),
    ],
)
def test_each_condition_narrows_the_answer(index: Index, query: Query, found: list[int]) -> None:
    add(index, 1, "pass", score=0.1, mark=MARK.model_copy(update={"word": "missed_defect"}))
    add(index, 2, "pass", score=0.2, camera="side")
    add(index, 3, "fail", score=0.3)
    add(index, 4, "fail", score=0.4, camera="side", mark=MARK)
    add(index, 5, "undecided", score=None)
    assert numbers(index, query) == found


def test_passes_then_undecided_then_fails_make_room_and_marked_ones_last(index: Index) -> None:
    for number, name in enumerate(("fail", "pass", "undecided", "pass", "fail"), start=1):
        add(index, number, name)  # type: ignore[arg-type]
    add(index, 6, "pass", mark=MARK)

    def going(order: str, below_rank: int) -> list[int]:
        found = index.first_to_go(order, below_rank=below_rank, limit=10)  # type: ignore[arg-type]
        return [one.size for one in found]

    assert going("rejects", MARKED + 1) == [2, 4, 3, 1, 5, 6]
    assert going("rejects", MARKED) == [2, 4, 3, 1, 5]
    assert going("rejects", 1) == [2, 4]
    assert going("newest", MARKED + 1) == [1, 2, 3, 4, 5, 6]
    assert going("newest", 1) == [1, 2, 3, 4, 5]


def test_old_ones_are_told_but_for_those_with_a_mark(index: Index) -> None:
    add(index, 1, mark=MARK)
    add(index, 2)
    add(index, 3)
    assert [one.size for one in index.older_than(verdict(3).created, 10)] == [2]


def test_totals_and_what_is_forgotten(index: Index) -> None:
    assert index.totals().oldest is None
    for number in (1, 2, 3):
        add(index, number, mark=MARK if number == 2 else None)
    totals = index.totals()
    assert (totals.entries, totals.size_bytes, totals.marked) == (3, 6, 1)
    assert totals.oldest == verdict(1).created
    with index.change():
        index.forget([result_id(1), result_id(2)])
    assert list(index.of_day("2026-11-24")) == [result_id(3)]
    assert index.of_day("2026-11-23") == index.of_day("2026-11-25") == {}
    assert index.days() == ["2026-11-24"]


def test_a_change_that_fails_changes_nothing(index: Index) -> None:
    add(index, 1)
    with pytest.raises(RuntimeError), index.change():
        index.forget([result_id(1)])
        raise RuntimeError
    assert index.totals().entries == 1


def test_it_is_still_there_when_it_is_opened_again(tmp_path: Path, index: Index) -> None:
    add(index, 1)
    other = Index(tmp_path / NAME)
    other.open()
    assert other.totals().entries == 1
    other.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_index_is_set_aside_and_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    one = Index(path)
    with structlog.testing.capture_logs() as logs:
        one.open()
    assert one.totals().entries == 0
    one.close()
    assert path.with_name(f"{NAME}.damaged").read_bytes() == content
    assert [(log["event"], log["reason"][:8]) for log in logs] == [("archive_index_rebuilt", "damaged:")]


def test_damage_inside_is_found(tmp_path: Path) -> None:
    path = tmp_path / NAME
    one = Index(path)
    one.open()
    for number in range(1, 400):
        add(one, number)
    one.close()
    data = bytearray(path.read_bytes())
    for page in range(3, len(data) // 4096):
        data[page * 4096 : page * 4096 + 512] = bytes(512)
    path.write_bytes(data)
    one.open()
    assert one.totals().entries == 0
    one.close()


def test_an_index_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / NAME
    one = Index(path)
    one.open()
    add(one, 1)
    one.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    with structlog.testing.capture_logs() as logs:
        one.open()
    assert one.totals().entries == 0
    one.close()
    assert logs[0]["reason"] == f"version {VERSION + 1}, this agent's is {VERSION}"


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(ForeignIndexError, match="another program's database"):
        Index(path).open()
    assert path.read_bytes() == before

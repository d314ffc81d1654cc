"""Marks on disk have numbers without a gap, the newest of a result holds, and damage is told."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.marks import file as marks_file
from agent.marks.file import MarkFile, MarksError, NoRoomForMarksError, Wanted
from agent.marks.read import newest, place
from tests.agent.archive.records import result_id
from tests.agent.marks.said import mark
from tests.faults.small_disk import enlarge, may_mount, small_disk

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return place(tmp_path / "outbox.sqlite3")


def test_a_mark_comes_back_as_it_was_said_and_with_its_number(path: Path) -> None:
    file = MarkFile(path)
    kept = file.add(mark(7, label="scratch", who="shift lead"))
    assert (kept.sequence, kept.label, kept.truth) == (1, "scratch", "defective")
    assert file.add(mark(8)).sequence == 2
    file.close()
    assert newest(path).marks[1] == kept
    assert MarkFile(path).last_of(result_id(7)) == kept


def test_the_newest_of_a_result_holds_and_those_before_stay_as_history(path: Path) -> None:
    file = MarkFile(path)
    for says in ("right", "wrong", "taken_back"):
        file.add(mark(1, says))
    kept = file.add(mark(2))
    assert file.find(Wanted()).marks == (kept,)
    history = file.find(Wanted(history=True, results=[result_id(1)])).marks
    assert [one.says for one in history] == ["taken_back", "wrong", "right"]
    last = file.last_of(result_id(1))
    assert last is not None and last.says == "taken_back"


@settings(max_examples=25, deadline=None)
@given(
    said=st.lists(
        st.tuples(
            st.integers(1, 5),
            st.sampled_from(["right", "wrong", "taken_back"]),
            st.sampled_from([None, "scratch", "dent"]),
        ),
        max_size=12,
    )
)
def test_whatever_is_said_numbers_have_no_gap_and_one_mark_a_result_holds(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, str, str | None]]
) -> None:
    path = tmp_path_factory.mktemp("marks") / "marks.sqlite3"
    file, holds = MarkFile(path), dict[str, tuple[str, str | None]]()
    for number, says, label in said:
        named = {} if says == "taken_back" or label is None else {"label": label}
        one = file.add(mark(number, says, **named))
        holds[one.result_id] = (says, one.label)
    every = file.find(Wanted(history=True)).marks
    assert [one.sequence for one in every] == [*range(len(said), 0, -1)]
    found = file.find(Wanted()).marks
    assert {one.result_id: (one.says, one.label) for one in found} == {
        id_: told for id_, told in holds.items() if told[0] != "taken_back"
    }
    for label in ("scratch", "dent"):
        wanted = [one for one in found if one.label == label]
        assert list(file.find(Wanted(label=label)).marks) == wanted
    assert newest(path).marks == found
    file.close()


def test_labels_are_those_that_were_used_last_and_keep_their_order_while_they_are_used(path: Path) -> None:
    file = MarkFile(path)
    for number, label in enumerate(("dent", "scratch", "dent", "fray"), 1):
        file.add(mark(number, label=label))
    assert file.labels(9) == ["dent", "scratch", "fray"]
    file.add(mark(5, label="scratch"))
    assert file.labels(9) == ["dent", "scratch", "fray"]
    assert file.labels(2) == ["scratch", "fray"]


def test_what_has_to_follow_is_due_until_it_is_done(path: Path) -> None:
    file = MarkFile(path)
    kept = [file.add(mark(number)) for number in (1, 2, 3)]
    assert file.due("told", after=0, limit=2) == kept[:2]
    file.done("told", [1, 3])
    assert file.due("told", after=0, limit=9) == [kept[1]]
    assert file.due("held", after=1, limit=9) == kept[1:]


def test_marks_behind_changed_ones_are_still_due(path: Path) -> None:
    file = MarkFile(path)
    kept = [file.add(mark(number)) for number in (1, 2, 3, 4)]
    file.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE mark SET camera = 'side' WHERE sequence < 3")
    assert MarkFile(path).due("told", after=0, limit=2) == kept[2:]


def test_a_damaged_file_that_was_moved_away_or_restored_needs_no_start_of_the_agent(path: Path) -> None:
    file = MarkFile(path)
    file.add(mark(1))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    with path.open("r+b") as pages:
        pages.seek(4096)
        pages.write(rng.bytes(len(sound) - 4096))
    with pytest.raises(MarksError, match="move the file away"):
        file.add(mark(2))
    path.rename(path.with_name("damaged"))
    assert file.add(mark(3)).sequence == 1
    restored = path.with_name("restored")
    restored.write_bytes(sound)
    restored.rename(path)
    assert file.add(mark(4)).sequence == 2


def test_a_mark_that_was_changed_in_the_file_is_passed_over_and_counted(path: Path) -> None:
    file = MarkFile(path)
    file.add(mark(1))
    kept = file.add(mark(2))
    file.close()
    with closing(sqlite3.connect(path)) as database, database:
        payload = database.execute("SELECT payload FROM mark WHERE sequence = 1").fetchone()[0]
        database.execute(
            "UPDATE mark SET payload = ? WHERE sequence = 1", (payload.replace(b"right", b"wrong"),)
        )
    found = newest(path)
    assert (found.marks, found.damaged) == ((kept,), 1)


@pytest.mark.parametrize(
    ("column", "value", "finds"),
    [
        ("truth", "good", Wanted(truth="good")),
        ("label", "dent", Wanted(label="dent")),
        ("camera", "side", Wanted(camera="side")),
        ("recipe_id", "other", Wanted(recipe_id="other")),
        ("says", "wrong", Wanted()),
        ("result_id", result_id(9), Wanted(results=[result_id(9)])),
    ],
)
def test_a_mark_is_not_found_by_what_it_does_not_say(
    path: Path, column: str, value: str, finds: Wanted
) -> None:
    file = MarkFile(path)
    file.add(mark(1, label="scratch"))
    file.close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE mark SET {column} = ?", (value,))
    found = newest(path, finds)
    assert (found.marks, found.damaged) == ((), 1)


def test_of_a_file_with_a_spoilt_page_the_marks_on_the_others_are_read_and_the_rest_is_counted(
    path: Path, tmp_path: Path
) -> None:
    file = MarkFile(path)
    for number in range(1, 61):
        file.add(mark(number, label="scratch"))
    file.close()
    whole, saved = path.read_bytes(), 0
    for page in range(1, len(whole) // PAGE):
        spoilt = tmp_path / f"{page}.sqlite3"
        noise = random.Random(page).randbytes(PAGE)
        spoilt.write_bytes(whole[: page * PAGE] + noise + whole[(page + 1) * PAGE :])
        try:
            found = newest(spoilt, Wanted(label="scratch"))
        except MarksError:  # a page that leads to all others
            continue
        assert [one.sequence for one in found.marks] == sorted({one.sequence for one in found.marks})[::-1]
        assert len(found.marks) + found.damaged == 60
        saved += 60 > len(found.marks) >= 50
    assert saved > len(whole) // PAGE // 2


def test_a_file_of_another_program_or_version_or_no_database_is_left_alone_in_words(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (a)")
    for reads in (lambda: MarkFile(path).count(), lambda: newest(path)):
        with pytest.raises(MarksError, match=r"another program's database|no marks in it"):
            reads()
    path.unlink()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(MarksError, match="file is not a database; check that disk"):
        MarkFile(path).add(mark(1))
    path.unlink()
    MarkFile(path).add(mark(1))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(MarksError, match="version 9 of marks, this agent knows 1"):
        MarkFile(path).add(mark(2))


def test_where_nobody_has_marked_there_are_none_and_no_file_is_made(path: Path) -> None:
    assert newest(path).marks == ()
    assert not path.exists()


def test_beyond_its_bound_no_more_are_taken_in_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks_file, "MAXIMUM", 2)
    file = MarkFile(path)
    file.add(mark(1))
    file.add(mark(2))
    with pytest.raises(NoRoomForMarksError, match="there are 2 marks, and no more are taken; export them"):
        file.add(mark(3))
    assert file.count() == 2


def test_a_full_disk_takes_no_mark_and_loses_none(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not may_mount(folder):
        pytest.skip("only root may mount a small disk")
    with small_disk(folder, megabytes=1):
        file, number = MarkFile(folder / "marks.sqlite3"), 0
        with pytest.raises(NoRoomForMarksError, match="full; free space on that disk"):
            while number < 5000:
                number += 1
                file.add(mark(number))
        assert file.count() == number - 1
        enlarge(folder, megabytes=4)
        assert file.add(mark(number)).sequence == number
        file.close()
        assert len(newest(folder / "marks.sqlite3").marks) == number

"""Who changed what: a durable, bounded record that no damage stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.remote import changes
from agent.remote.changes import ChangeFile, differing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / changes.NAME


def record(path: Path) -> ChangeFile:
    return ChangeFile(path, ManualClock())


def test_a_change_says_who_what_before_and_after_and_outlives_the_agent(path: Path) -> None:
    record(path).note(
        who="anna", way="page", what="threshold", wanted={"threshold": 2.0}, before={"t": 1}, after={"t": 2}
    )
    record(path).note(who="mes", way="command", what="pause", outcome="begun")
    newest, oldest = record(path).last(10)
    assert (oldest.who, oldest.way, oldest.what, oldest.at) == (
        "anna",
        "page",
        "threshold",
        "2026-01-01T00:00:00.000Z",
    )
    assert (oldest.wanted, oldest.before, oldest.after) == ({"threshold": 2.0}, {"t": 1}, {"t": 2})
    assert (newest.who, newest.outcome) == ("mes", "begun")
    assert record(path).last(1) == [newest]


def test_what_is_damaged_or_cut_off_is_passed_over_and_the_next_line_stands_alone(path: Path) -> None:
    record(path).note(who="anna", way="page", what="pause")
    with path.open("ab") as file:
        file.write(b'{"at": 1}\n\xff\xfe not json\n{"at": "2026-')
    record(path).note(who="bert", way="page", what="resume")
    assert [one.who for one in record(path).last(10)] == ["bert", "anna"]


def test_the_record_is_bounded_and_keeps_the_newest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "FULL_BYTES", 2_000)
    for number in range(100):
        record(path).note(who=f"p{number}", way="page", what="pause", wanted={"reason": "x" * 50})
        told = record(path).last(1_000)
        assert len(told) + record(path).turned_out() == number + 1, "what made room is counted"
    assert sum(one.stat().st_size for one in path.parent.iterdir()) <= 4_100
    last = [one.who for one in told]
    assert last[:2] == ["p99", "p98"] and len(last) > 5
    assert last == [f"p{number}" for number in range(99, 99 - len(last), -1)]
    path.unlink()  # as after a crash between the two steps of turning over
    assert len(record(path).last(1_000)) + record(path).turned_out() <= 100
    record(path).note(who="after", way="page", what="pause")
    again = record(path)
    assert [again.last(1)[0].who, again.turned_out()] == ["after", changes.turned_out(path)]
    assert again.turned_out() > 0, "the file before says how many made room for it"


def test_a_flood_of_one_person_is_told_by_its_beginning_its_end_and_a_number(path: Path) -> None:
    clock = ManualClock()
    file = ChangeFile(path, clock)
    for number in range(1_000):
        file.note(who="anna", way="page", what="take_control", after={"number": number})
    file.note(who="bert", way="page", what="pause")
    file.note(who="cell", way="station", what="settings", snapshot="ab")
    told = file.last(100)
    assert [one.who for one in told][:3] == ["anna", "cell", "bert"], "nobody else is cut"
    assert (told[0].unlisted, told[0].after) == (1_000 - 20 - 1, {"number": 999})
    assert len(told) == 20 + 3
    clock.advance(60.0)
    file.note(who="anna", way="page", what="give_back")
    found = record(path).last(100)
    assert sum(1 + one.unlisted for one in found) == 1_003, "and on the disk, once the minute is over"
    assert [one.what for one in found][:2] == ["give_back", "take_control"]


def test_what_a_flood_holds_is_on_the_disk_when_the_process_ends(path: Path) -> None:
    file = record(path)
    for _ in range(50):
        file.note(who="anna", way="command", what="pause")
    assert len(record(path).last(100)) == 20
    file.settle()
    assert sum(1 + one.unlisted for one in record(path).last(100)) == 50


def test_what_a_flood_holds_is_on_the_disk_once_its_minute_is_over_though_nobody_changes_more(
    path: Path,
) -> None:
    clock = ManualClock()
    file = ChangeFile(path, clock)
    for _ in range(50):
        file.note(who="anna", way="command", what="pause")
    file.look()
    assert len(record(path).last(100)) == 20
    clock.advance(60.0)
    file.look()
    file.look()
    assert sum(1 + one.unlisted for one in record(path).last(100)) == 50
    assert len(file.last(100)) == 21


@pytest.mark.parametrize("kind", ["folder", "link", "no folder"])
def test_a_record_that_cannot_be_written_stops_nothing(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/dev/null")
    else:
        path = path.parent / "gone" / path.name
    record(path).note(who="anna", way="page", what="pause")
    assert record(path).last(10) == []


def test_logins_and_huge_values_do_not_stand_in_it(path: Path) -> None:
    record(path).note(
        who="x" * 9_000,
        way="file",
        what="settings",
        before={"source": "rtsp://me:secret@camera/1", "long": "y" * 9_000, "list": list(range(9_000))},
        after={str(number): number for number in range(9_000)},
    )
    assert b"secret" not in path.read_bytes()
    assert len(path.read_bytes()) < 10_000
    (found,) = record(path).last(10)
    assert found.before["list"] == "(too long to be told)"


def test_a_difference_names_the_member_and_nothing_that_is_the_same() -> None:
    before = {"judge": {"threshold": 1.0, "area": 3}, "line": {}}
    after = {"judge": {"threshold": 2.0, "area": 3}, "line": {"ring": 4}}
    assert differing(before, after) == (
        {"judge.threshold": 1.0, "line": {}, "line.ring": None},
        {"judge.threshold": 2.0, "line": None, "line.ring": 4},
    )


def test_each_line_is_json_for_whoever_reads_the_file(path: Path) -> None:
    record(path).note(who="ännä\n<b>", way="page", what="pause")
    (line,) = path.read_bytes().splitlines()
    assert json.loads(line)["who"] == "ännä\n<b>"

"""Who changed what is read on the command line, also where its file is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.clock import ManualClock, SystemClock
from agent.remote import changes
from agent.remote.changes import NAME, ChangeFile
from tests.agent.cli.calling import Plumbline
from tests.agent.cli.test_settings import called
from tests.agent.remote.settled import started
from tests.odd_files import no_regular_files


def test_changes_name_who_changed_what_and_its_damage_is_passed_over(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = started(tmp_path)
    path = station.store.folder.parent / NAME
    record = ChangeFile(path, SystemClock())
    record.note(who="anna\n", way="page", what="threshold", before={"t": 1}, after={"t": 2})
    with path.open("ab") as file:
        file.write(b"\xff{")
    (line,) = called(plumbline, station, "changes").splitlines()
    assert "anna" in line and "threshold" in line and "t 1 -> 2" in line
    told = json.loads(called(plumbline, station, "changes", "--json"))
    assert [one["after"] for one in told["changes"]] == [{"t": 2}] and told["turned_out"] == 0


def test_what_made_room_and_what_a_flood_left_out_is_said(
    tmp_path: Path, plumbline: Plumbline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "FULL_BYTES", 3_000)
    station = started(tmp_path)
    record = ChangeFile(station.store.folder.parent / NAME, ManualClock())
    for number in range(40):
        record.note(who=f"p{number}", way="page", what="pause")
    for _ in range(30):
        record.note(who="anna", way="page", what="resume")
    record.settle()
    first, *_, last = called(plumbline, station, "changes", "--limit", "1000").splitlines()
    assert "older ones made room for those that followed" in first
    assert "anna (page)  resume, after 9 more like it" in last


@pytest.mark.parametrize("which", [NAME, "changes-before.jsonl"])
def test_a_record_that_is_there_and_cannot_be_read_is_no_empty_one(
    plumbline: Plumbline, tmp_path: Path, which: str
) -> None:
    station = started(tmp_path)
    (station.store.folder.parent / which).unlink(missing_ok=True)
    for other in no_regular_files(tmp_path):
        (station.store.folder.parent / which).symlink_to(other)
        done = plumbline("settings", "changes", "-c", station.file)
        (station.store.folder.parent / which).unlink()
        assert (done.code, done.out) == (2, "") and f"{which}: not read: is " in done.err


def test_snapshots_that_cannot_be_read_are_counted_and_not_called_none(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = started(tmp_path)
    (snapshot,) = (station.store.folder / f"{name}.json" for name in station.store.snapshots())
    snapshot.write_bytes(snapshot.read_bytes()[:-40])
    done = plumbline("settings", "history", "-c", station.file)
    assert done.code == 1 and "1 of 1 snapshots are damaged or may not be read" in done.err
    done = plumbline("settings", "show", "-c", station.file)
    assert done.code == 2 and "names no snapshot that is whole" in done.err
    shutil.rmtree(station.store.folder)
    station.store.folder.write_bytes(b"")
    done = plumbline("settings", "history", "-c", station.file)
    assert done.code == 2 and "not read: Not a directory" in done.err

"""`plumbline archive` says how full the archive is and ends with 1 when a frame in it is damaged."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.archive import files, look
from agent.archive.index import NAME
from tests.agent.archive.records import result_id, verdict
from tests.agent.archive.test_look import filled
from tests.agent.cli.calling import Plumbline, config, named_in_help

KEPT = {"folder": "archive"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def test_info_says_what_is_kept_beside_a_running_agent(
    plumbline: Plumbline, tmp_path: Path, folder: Path
) -> None:
    one = filled(folder)
    ended = plumbline("archive", "info", "-c", config(tmp_path, archive=KEPT))
    one.close()
    assert ended.code == 0
    first, second, third = ended.out.splitlines()[-3:]
    assert first == f"{folder}: 3 frames, 0.0 of 10000 MB"
    assert second == f"  {verdict(1).created} to {verdict(3).created}"
    assert third == "  1 fail, 1 pass, 1 undecided; 1 marked by people"


def test_info_for_scripts_has_the_same(plumbline: Plumbline, tmp_path: Path, folder: Path) -> None:
    filled(folder).close()
    plumbline("--version")  # takes what the archive logged
    ended = plumbline("archive", "info", "--json", "-c", config(tmp_path, archive=KEPT))
    found = json.loads(ended.out)
    assert ended.code == 0
    assert (found["entries"], found["marked"], found["torn"]) == (3, 1, 0)
    assert found["verdicts"] == {"fail": 1, "pass": 1, "undecided": 1}
    assert named_in_help(plumbline, "archive", "info", fields=found)


def test_check_names_a_damaged_frame_and_ends_with_1(
    plumbline: Plumbline, tmp_path: Path, folder: Path
) -> None:
    filled(folder).close()
    assert plumbline("archive", "check", "-c", config(tmp_path, archive=KEPT)).code == 0
    damaged = folder / verdict(1).created[:10] / f"{result_id(1)}.png"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    ended = plumbline("archive", "check", "-c", config(tmp_path, archive=KEPT))
    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"{damaged}: it is cut short; nothing of it can be relied on",
        f"{folder}: 2 frames are sound, 1 are not",
    ]


def test_the_index_is_made_anew_when_asked_and_nobody_has_it(
    plumbline: Plumbline, tmp_path: Path, folder: Path
) -> None:
    one = filled(folder)
    words = ("archive", "check", "--rebuild", "-c", config(tmp_path, archive=KEPT))
    ended = plumbline(*words)
    assert ended.code == 2 and "another agent has it" in ended.err
    one.close()
    with closing(sqlite3.connect(folder / NAME)) as database, database:
        database.execute("UPDATE entry SET verdict = 'pass'")
    assert look.summary(folder).verdicts == {"pass": 3}
    ended = plumbline(*words)
    assert ended.code == 0 and "the index was made anew and has 3 frames" in ended.out
    assert look.summary(folder).verdicts == {"fail": 1, "pass": 1, "undecided": 1}
    assert len(list(files.scan(folder))) == 3


@pytest.mark.parametrize("command", ["info", "check"])
def test_a_station_that_keeps_none_says_how_to(plumbline: Plumbline, tmp_path: Path, command: str) -> None:
    ended = plumbline("archive", command, "-c", config(tmp_path))
    assert ended.code == 2
    assert "archive.folder is not set, so no frames are kept; name a folder there" in ended.complaint()


def test_a_folder_without_an_archive_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("archive", "info", "-c", config(tmp_path, archive=KEPT))
    assert ended.code == 2 and "no archive is there" in ended.complaint()

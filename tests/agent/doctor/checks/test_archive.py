"""The archive: what is kept, what was damaged, and room for more."""

from __future__ import annotations

from pathlib import Path

from agent.archive import files
from agent.archive.index import NAME
from agent.doctor.checks import archive
from tests.agent.archive.test_look import filled
from tests.agent.doctor.sites import site, states, told

KEPT = {"folder": "archive"}


def test_without_a_folder_and_before_the_first_start_it_is_skipped(tmp_path: Path) -> None:
    assert states(archive.kept, site(tmp_path)) == states(archive.room, site(tmp_path)) == ["skipped"]
    assert states(archive.kept, site(tmp_path, archive=KEPT)) == ["skipped"]


def test_one_in_use_is_good(tmp_path: Path) -> None:
    shelf = filled(tmp_path / "archive")
    assert "3 frames" in told(archive.kept, site(tmp_path, archive=KEPT), "ok").words
    shelf.close()


def test_an_index_that_is_none_is_wrong(tmp_path: Path) -> None:
    filled(tmp_path / "archive").close()
    (tmp_path / "archive" / NAME).write_bytes(b"no database")
    assert "start the agent once" in told(archive.kept, site(tmp_path, archive=KEPT), "wrong").remedy


def test_files_that_lie_aside_are_noted(tmp_path: Path) -> None:
    filled(tmp_path / "archive").close()
    (one, *_) = files.scan(tmp_path / "archive")
    files.set_aside(tmp_path / "archive", files.path_of(tmp_path / "archive", one))
    assert "lie aside" in told(archive.kept, site(tmp_path, archive=KEPT), "note").words


def test_a_disk_without_the_room_that_is_asked_for_is_noted(tmp_path: Path) -> None:
    assert states(archive.room, site(tmp_path, archive=KEPT)) == ["ok"]
    assert states(archive.room, site(tmp_path, archive={**KEPT, "min_free_bytes": 10**15})) == ["note"]

"""Whatever lies in the archives below a folder is found, each file once, and its kind is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.rescoring.archives import File, survey
from models.rescoring.faults import RescoreError
from tests.models.rescoring.plant import Plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(folder=tmp_path / "plant")


def of_kind(files: list[File], kind: str) -> list[str]:
    return sorted(one.name for one in files if one.kind == kind)


def test_an_archive_and_a_folder_of_many_give_each_entry_once(plant: Plant) -> None:
    for station in ("press-1", "press-2"):
        plant.keep(station, 20)
        plant.keep(station, 200)
    of_one = survey([plant.archive("press-1")])
    assert (of_one.archives, len(of_one.files)) == (1, 2)
    of_all = survey([plant.folder, plant.archive("press-1"), plant.folder / "press-2"])
    assert (of_all.archives, len(of_all.files)) == (2, 4)
    assert {Path(of_all.folders[one.folder]) / one.name for one in of_all.files} == set(
        plant.folder.rglob("*.png")
    )


def test_what_is_no_entry_is_found_too_and_its_kind_is_told(plant: Plant) -> None:
    kept = plant.keep("press-1", 20)
    day, archive = kept.parent, plant.archive("press-1")
    (day / f".{kept.stem}.png.part").write_bytes(b"half")
    (day / "holiday.jpg").write_bytes(b"mine")
    (day / "more").mkdir()
    (day / "link.png").symlink_to(kept)
    (archive / "torn").mkdir()
    (archive / "torn" / "01900000.png").write_bytes(b"cut")
    (archive / "plumbline-archive.sqlite3").write_bytes(b"index")
    (archive / "plumbline-archive.sqlite3-wal").write_bytes(b"index")
    (archive / "plumbline-archive.lock").touch()
    (archive / "README").write_bytes(b"mine")
    (plant.folder / "list.csv").write_bytes(b"beside all archives")
    found = survey([plant.folder]).files
    assert of_kind(found, "entry") == [f"{day.name}/{kept.name}"]
    assert of_kind(found, "unfinished") == [f"{day.name}/.{kept.stem}.png.part"]
    assert of_kind(found, "torn") == ["torn/01900000.png"]
    assert of_kind(found, "foreign") == [
        *(f"{day.name}/{name}" for name in ("holiday.jpg", "link.png", "more")),
        "README",
        "list.csv",
    ]


def test_a_folder_without_an_archive_is_refused_and_the_remedy_named(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"x")
    with pytest.raises(RescoreError, match=r"pictures: no archive is there or below; give archive\.folder"):
        survey([tmp_path / "pictures"])
    with pytest.raises(RescoreError, match="cannot be read"):
        survey([tmp_path / "pictures" / "a.png"])


def test_links_to_other_archives_are_not_followed(plant: Plant, tmp_path: Path) -> None:
    plant.keep("press-1", 20)
    (tmp_path / "plant" / "again").symlink_to(plant.archive("press-1"), target_is_directory=True)
    assert survey([plant.folder]).archives == 1

"""A label set is whole under its digest, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.labels import shelf as module
from agent.labels.label_set import LabelsError
from agent.labels.shelf import Shelf
from tests.agent.labels.made import learned
from tests.odd_files import no_regular_files

FIVE = {"crack": 5, "dent": 5}


def test_what_was_put_is_there_and_twice_is_once(tmp_path: Path) -> None:
    shelf, labels = Shelf(tmp_path / "labels"), learned(FIVE).labels
    assert shelf.put(labels) == shelf.put(labels)
    assert [one for one, _ in shelf.all()] == [labels.sha256]
    assert shelf.get(labels.sha256).counts == FIVE


def test_a_station_that_learned_nothing_has_none(tmp_path: Path) -> None:
    assert list(Shelf(tmp_path / "labels").all()) == []
    with pytest.raises(LabelsError, match=r"is not in .*; learn it here"):
        Shelf(tmp_path / "labels").get("ab" * 32)


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    shelf, labels = Shelf(tmp_path), learned(FIVE).labels
    path = shelf.put(labels)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(LabelsError, match="is not what was written"):
        shelf.get(labels.sha256)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    shelf, digest = Shelf(tmp_path / "labels"), "ab" * 32
    shelf.folder.mkdir()
    for other in no_regular_files(tmp_path):
        (shelf.folder / f"{digest}.labels").symlink_to(other)
        with pytest.raises(LabelsError, match=r"cannot be read \(is "):
            shelf.get(digest)
        (shelf.folder / f"{digest}.labels").unlink()


def test_a_disk_that_is_full_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pieces: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replace_file", full)
    with pytest.raises(LabelsError, match=r"No space left on device.*nothing was learned"):
        Shelf(tmp_path).put(learned(FIVE).labels)
    assert list(Shelf(tmp_path).all()) == []

"""Folders are read to their depth; what is hidden, foreign or unclear is left out, counted and told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.contract.label import GOOD_WORDS
from models.data.datasets import DataError, load_items, read_set, summary
from tests.models.tiny import DEFECTIVE_TEST, GOOD_TEST, GOOD_TRAINING, woven, write_tiny

ALL = GOOD_TRAINING + GOOD_TEST + DEFECTIVE_TEST


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", "@eaDir", ".git/a/b", "scratch/.cache"])
def test_hidden_folders_are_no_defects(tiny: Path, name: str) -> None:
    copy(tiny / "train/good/000.png", tiny / "test" / name / "000.png")
    found = read_set(tiny)
    assert len(found.items) == ALL
    assert found.left_out == {"hidden": 1}


@pytest.mark.parametrize("name", ["._000.png", "Thumbs.db", ".DS_Store"])
def test_hidden_files_are_counted(tiny: Path, name: str) -> None:
    (tiny / "train/good" / name).write_bytes(b"x")
    assert read_set(tiny).left_out == {"hidden": 1}


@pytest.mark.parametrize("name", ["Good", "GOOD", "OK", "Normal", *sorted(GOOD_WORDS - {"good"})])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_folder_that_may_be_good_parts_is_asked_about_by_name(tiny: Path, split: str, name: str) -> None:
    (tiny / split / "good").rename(tiny / split / name)
    with pytest.raises(DataError, match=rf"{split}/{name}: are these good parts\?"):
        load_items(tiny)


@pytest.mark.parametrize(
    ("old", "new"), [("train", "TRAIN"), ("test", "Test"), ("ground_truth", "Ground_Truth")]
)
def test_the_case_of_a_split_does_not_matter(tiny: Path, old: str, new: str) -> None:
    (tiny / old).rename(tiny / new)
    items = load_items(tiny)
    assert len(items) == ALL
    assert sum(item.mask is not None for item in items) == DEFECTIVE_TEST


@pytest.mark.parametrize("below", ["lot2", "a/b/c"])
def test_folders_below_a_defect_are_read_with_their_masks(tiny: Path, below: str) -> None:
    copy(tiny / "train/good/001.png", tiny / "train/good" / below / "001.png")
    shutil.move(tiny / "test/scratch", tiny / "moved")
    shutil.move(tiny / "ground_truth/scratch", tiny / "masks")
    for source, target in (("moved", "test/scratch"), ("masks", "ground_truth/scratch")):
        (tiny / target / below).parent.mkdir(parents=True)
        shutil.move(tiny / source, tiny / target / below)
    items = load_items(tiny)
    assert len(items) == ALL + 1
    assert sum(item.mask is not None for item in items) == DEFECTIVE_TEST


def test_all_that_is_not_read_is_told_with_its_reason(tiny: Path) -> None:
    for name in ("train/good/a.webp", "train/good/b.HEIC", "train/good/c", "train/stray.png", "extra/x.png"):
        copy(tiny / "train/good/000.png", tiny / name)
    copy(tiny / "train/good/000.png", tiny / "val/good/000.png")
    said = "\n".join(summary(tiny, read_set(tiny)))
    for words in (
        ".webp",
        ".heic",
        "without a suffix",
        "beside the folders",
        "beside train and",
        "validation",
    ):
        assert words in said
    assert (
        f"{GOOD_TRAINING} good to train on, {GOOD_TEST} good and {DEFECTIVE_TEST} defective to judge" in said
    )


def test_defective_parts_of_the_training_folder_are_told(tiny: Path) -> None:
    copy(tiny / "test/scratch/000.png", tiny / "train/dent/000.png")
    (tiny / "test/scratch/000.png").unlink()
    (tiny / "ground_truth/scratch/000_mask.png").unlink()
    assert "left out: 1 defective of the training split" in "\n".join(summary(tiny, read_set(tiny)))


@pytest.mark.parametrize("bad", ["bad", "NG", "Defects", "anomaly"])
@pytest.mark.parametrize("good", ["", "good", "OK"])
def test_a_plain_folder_holds_good_parts_and_bad_ones_beside_them(
    tiny: Path, tmp_path: Path, good: str, bad: str
) -> None:
    plain = tmp_path / "plain"
    for index in range(3):
        copy(tiny / f"train/good/{index:03}.png", plain / good / f"{index}.png")
    copy(tiny / "test/scratch/000.png", plain / bad / "x.png")
    copy(tiny / "test/scratch/000.png", plain / "unclear" / "x.png")
    found = read_set(plain)
    assert (
        sorted((item.split, item.defect) for item in found.items) == [("test", bad)] + [("train", "good")] * 3
    )
    assert found.left_out == {"in unclear, a folder that says neither good nor bad": 1}


def test_what_is_no_set_is_said_in_its_own_words(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(bytes(woven.__name__, "utf-8"))
    for name, said in (("absent", "does not exist"), ("file", "is a file"), ("empty", "is empty")):
        with pytest.raises(DataError, match=f"{name}: {said}"):
            load_items(tmp_path / name)

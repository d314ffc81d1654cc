"""What people marked becomes samples, as far as the archive has pictures of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from agent.clock import ManualClock
from agent.labels import gather
from agent.labels.folder import largest, not_read, on_map, pictures
from agent.labels.label_set import LEAST, LabelsError
from agent.line.prepare import prepare
from agent.settings.settings import Settings
from tests.agent.labels.made import SHA256, FakeFeatures
from tests.agent.marks.said import Said, station
from tests.fakes import STRIDE_PX, frame, good_picture, spec

BUNDLE: Any = SimpleNamespace(
    sha256=SHA256, manifest=SimpleNamespace(input=spec(), map=SimpleNamespace(stride_px=STRIDE_PX))
)


def wanted(folder: Path) -> Settings:
    return Settings.model_validate(
        {"outbox": {"path": folder / "outbox.sqlite3"}, "archive": {"folder": folder / "archive"}}
    )


def marked(said: Said, count: int, label: str, *, first: int = 1, kept: bool = True, **more: Any) -> None:
    for number in range(first, first + count):
        said.judge(number, kept=kept)
        said.say(number, label=label, **more)


def gathered(folder: Path) -> gather.Gathered:
    asked = wanted(folder)
    assert asked.archive.folder is not None
    marks = gather.marked(asked, "default")
    return gather.of_marks(marks, asked.archive.folder, BUNDLE, FakeFeatures(), ManualClock())


def test_each_labelled_defect_of_the_recipe_is_a_sample(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        marked(said, LEAST, "crack")
        marked(said, LEAST, "dent", first=LEAST + 1)
        marked(said, LEAST - 1, "rare", first=2 * LEAST + 1)
    found = gathered(tmp_path)
    assert sorted(one.label for one in found.samples) == ["crack"] * LEAST + ["dent"] * LEAST
    assert found.refused == ()
    assert all(np.isfinite(one.vector).all() for one in found.samples)


def test_good_parts_and_marks_without_a_label_are_none(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        marked(said, LEAST, "crack")
        said.judge(LEAST + 1)
        said.say(LEAST + 1, "right")
        said.judge(LEAST + 2)
        said.say(LEAST + 2, "wrong")
    assert len(gathered(tmp_path).samples) == LEAST


def test_one_whose_picture_is_gone_is_said_and_the_others_count(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        marked(said, LEAST, "crack")
        marked(said, 1, "crack", first=LEAST + 1, kept=False)
    found = gathered(tmp_path)
    assert len(found.samples) == LEAST
    (words,) = found.refused
    assert "keeps no picture of it" in words


def test_without_an_archive_it_is_said_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"archive\.folder is not set"):
        gather.marked(Settings(), "default")


def test_nobody_has_marked_anything(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="there are none at all"):
        gather.marked(wanted(tmp_path), "default")


def folders(root: Path, **counts: int) -> Path:
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(root / label / f"{number}.png"), good_picture())
    return root


def test_a_folder_of_folders_is_labels_without_the_good_ones(tmp_path: Path) -> None:
    found = pictures(folders(tmp_path, crack=5, good=3, Good=1))
    assert [(one.label, one.image.name, one.mask) for one in found] == [
        ("crack", f"{number}.png", None) for number in range(5)
    ]


def test_masks_are_found_in_the_layout_of_mvtec_ad(tmp_path: Path) -> None:
    folders(tmp_path / "test", crack=5)
    masks = tmp_path / "ground_truth" / "crack"
    masks.mkdir(parents=True)
    cv2.imwrite(str(masks / "2_mask.png"), good_picture())
    cv2.imwrite(str(masks / "3.bmp"), good_picture())
    assert [one.mask is not None for one in pictures(tmp_path)] == [False, False, True, True, False]


@pytest.mark.parametrize("name", ["<img src=x>", "a'; DROP TABLE", "=cmd", "x" * 60, "OK", "Passed"])
def test_a_folder_that_is_named_after_no_label_is_refused_in_words(tmp_path: Path, name: str) -> None:
    folders(tmp_path, **{name: 5})
    with pytest.raises(LabelsError, match="is named after no label"):
        pictures(tmp_path)


def test_a_folder_with_nothing_in_it_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="there are none at all"):
        pictures(tmp_path)
    with pytest.raises(LabelsError, match="cannot be listed"):
        pictures(tmp_path / "absent")


def test_of_a_mask_the_largest_piece_counts_on_the_cells_of_the_map(tmp_path: Path) -> None:
    mask = np.zeros((64, 48), np.uint8)
    mask[8:16, 8:12] = 255
    mask[40:42, 40:42] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    flags, box = largest(tmp_path / "mask.png", (64, 48))
    ready = prepare(frame(0, good_picture(64, 48)), spec(), ManualClock())
    assert box == (8, 8, 4, 8)
    assert np.argwhere(on_map(flags, ready, STRIDE_PX)).tolist() == [[2, 2], [3, 2]]


def test_a_mask_of_any_two_levels_counts_and_one_of_what_is_good_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((64, 48, 3), np.uint8)
    mask[8:16, 8:12, 1] = 1
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    assert largest(tmp_path / "mask.png", (64, 48))[1] == (8, 8, 4, 8)
    cv2.imwrite(str(tmp_path / "mask.png"), 1 - mask[..., 1])
    with pytest.raises(LabelsError, match="marks 99% of the picture, so it is probably inverted"):
        largest(tmp_path / "mask.png", (64, 48))


def test_pictures_that_are_not_read_are_told(tmp_path: Path) -> None:
    folders(tmp_path, **{"crack": 5, "crack/deeper": 3})
    (tmp_path / "crack" / "notes.txt").write_text("")
    (words,) = not_read(pictures(tmp_path))
    assert "crack: not read: 1 folders below, 1 of kind .txt" in words


@pytest.mark.parametrize(("shape", "words"), [((64, 48), "marks nothing"), ((60, 48), "give it its mask")])
def test_a_mask_of_nothing_or_of_another_picture_is_refused(
    tmp_path: Path, shape: tuple[int, int], words: str
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros(shape, np.uint8))
    with pytest.raises(LabelsError, match=words):
        largest(tmp_path / "mask.png", (64, 48))

"""A report shows the hardest pictures in their own proportions, in columns, with what became of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Pixels
from models.data.datasets import Item
from models.judging import sheet
from models.judging.evaluate import Judged, figures
from models.judging.report import write_report
from models.judging.sheet import GAP_PX, worst

SIDES = st.integers(20, 400)
SEEN, RESTORED = 100, 160  # greys


def judged(score: float, *, good: bool, size: tuple[int, int] = (120, 60)) -> Judged:
    """A grey picture of height and width, a lighter restoration, evidence that rises downwards."""
    mask = np.zeros(size, np.bool_)
    mask[size[0] // 2 :] = not good
    rows = np.linspace(0, 0.2, size[0], dtype=np.float32)
    return Judged(
        item=Item(image=Path(f"{score}.png"), split="test", defect="good" if good else "crack"),
        score=score,
        map=np.repeat(rows[:, None], size[1], axis=1),
        picture=np.full((*size, 1), SEEN, np.uint8),
        restored=np.full((*size, 1), RESTORED, np.uint8),
        mask=mask,
        seconds=0.1,
    )


def split(size: tuple[int, int] = (120, 60)) -> list[Judged]:
    goods = [judged(score, good=True, size=size) for score in (0.1, 0.2, 0.3, 0.4, 0.5, 0.9)]
    return goods + [judged(score, good=False, size=size) for score in (0.35, 0.6, 0.7, 0.8, 1.0, 2.0)]


def sheet_of(pictures: list[Judged], threshold: float | None = None) -> Pixels:
    return sheet.sheet(figures(pictures, threshold), pictures)


def runs_of(row: Pixels) -> list[tuple[int, int]]:
    """Red value and length of the runs of one colour along a row of pixels, white left out."""
    ends = [*(np.flatnonzero((row[1:] != row[:-1]).any(1)) + 1).tolist(), len(row)]
    starts = [0, *ends[:-1]]
    runs = [(int(row[start, 0]), end - start) for start, end in zip(starts, ends, strict=True)]
    return [(value, length) for value, length in runs if value != 255]


def test_the_lowest_defective_and_the_highest_good_are_the_worst() -> None:
    missed, alarms = worst(split())
    assert [one.score for one in missed] == [0.35, 0.6, 0.7, 0.8]
    assert [one.score for one in alarms] == [0.9, 0.5, 0.4, 0.3]


@given(height=SIDES, width=SIDES, box=st.tuples(SIDES, SIDES))
def test_a_picture_is_never_squeezed(height: int, width: int, box: tuple[int, int]) -> None:
    panel = sheet.fitted(np.zeros((height, width, 1), np.uint8), box)
    assert panel.shape == (box[1], box[0], 3)
    rows, columns = (int((panel == 0).any((2, axis)).sum()) for axis in (1, 0))
    assert rows == box[1] or columns == box[0]  # as large as fits
    assert abs(rows - columns * height / width) <= 0.5 * (1 + height / width) + 1e-6


@pytest.mark.parametrize("size", [(120, 60), (60, 120), (630, 250)])
def test_panels_have_the_pictures_proportions(size: tuple[int, int]) -> None:
    width, height = sheet.panel_size([one.picture for one in split(size)])
    assert height / width == pytest.approx(size[0] / size[1], rel=0.02)
    assert width * height == pytest.approx(sheet.PANEL_PX**2, rel=0.02)


def test_a_row_shows_input_restoration_evidence_and_the_true_defect() -> None:
    made = sheet_of(split())
    first = int(np.flatnonzero((made == RESTORED).all(2).sum(1) > 100)[0])  # row of pixels
    panel = sheet.panel_size([split()[0].picture])
    shown = runs_of(made[first + 5])
    # To the left a defective picture, to the right a good one without a mask.
    assert shown == [(value, panel[0]) for value in (SEEN, RESTORED, SEEN, 0, SEEN, RESTORED, SEEN)]


def test_columns_that_would_show_nothing_are_left_out() -> None:
    whole = sheet_of(split()).shape[1]
    panel = sheet.panel_size([split()[0].picture])[0] + GAP_PX
    unrestored = [replace(one, restored=one.picture) for one in split()]
    assert sheet_of(unrestored).shape[1] == whole - 2 * panel
    unmarked = [one if one.item.is_good else replace(one, mask=None) for one in split()]
    assert sheet_of(unmarked).shape[1] == whole - panel


def test_tall_pictures_stand_beside_each_other_and_wide_ones_below() -> None:
    tall, wide = sheet_of(split((200, 100))), sheet_of(split((100, 200)))
    assert tall.shape[1] > 6 * sheet.panel_size([split((200, 100))[0].picture])[0]
    assert wide.shape[1] < 5 * sheet.panel_size([split((100, 200))[0].picture])[0]


def test_the_threshold_decides_what_is_said_and_where_evidence_is_hot() -> None:
    def hot(picture: Pixels) -> int:
        return int((np.ptp(picture.astype(np.int16), axis=2) > 60).sum())

    def panel(level: float) -> Pixels:
        return sheet.panel(split()[-1], "evidence", level, (60, 120))

    assert hot(panel(0.05)) > hot(panel(0.15)) > hot(panel(0.5)) == 0
    missed, alarm = judged(0.3, good=False), judged(0.7, good=True)
    for one in (missed, alarm):
        below, above, unknown = (sheet.caption(one, level, 400) for level in (0.2, 0.8, None))
        assert not np.array_equal(below, above)
        assert unknown.mean() > max(below.mean(), above.mean())  # fewer words, more white


@pytest.mark.slow
def test_a_report_is_two_pictures_with_and_without_masks_and_threshold(tmp_path: Path) -> None:
    unmarked = [one if one.item.is_good else replace(one, mask=None) for one in split()]
    silent = [replace(one, score=0.0, map=np.zeros_like(one.map)) for one in split()]
    for name, pictures, threshold in (
        ("all", split(), 0.5),
        ("unmarked", unmarked, None),
        ("silent", silent, None),
    ):
        write_report(figures(pictures, threshold), pictures, tmp_path / name)
        for file in ("curves.png", "worst.png"):
            picture = cv2.imread(str(tmp_path / name / file))
            assert min(picture.shape[:2]) > 300
            assert picture.std() > 5

"""A restoration is measured by how much of the defect is left in it, whatever is around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.judging.evaluate import Judged, figures
from models.judging.report import write_report
from models.judging.restored import FAINTEST, remaining
from models.judging.sheet import RESTORED, restorations
from tests.models.judging.test_report import judged, split

LEVEL = 120


def spoilt(by: float, *, at: tuple[int, int] = (20, 30), size: tuple[int, int] = (9, 14), channels: int = 1):  # type: ignore[no-untyped-def]
    """A grey part with a patch that differs by so many levels, and where it is."""
    picture = np.full((80, 100, channels), LEVEL, np.uint8)
    mask = np.zeros((80, 100), np.bool_)
    mask[at[0] : at[0] + size[0], at[1] : at[1] + size[1]] = True
    picture[mask] = round(LEVEL + by)
    return picture, mask


@given(
    by=st.integers(-100, 100).filter(lambda by: abs(by) > FAINTEST),
    left=st.floats(-0.5, 1.2),
    shade=st.integers(-15, 15),
    channels=st.sampled_from([1, 3]),
)
def test_it_is_the_share_of_the_contrast_that_is_left(
    by: int, left: float, shade: int, channels: int
) -> None:
    """The restoration as a whole may be lighter or darker: only what stands out around it counts."""
    picture, mask = spoilt(by, channels=channels)
    restored = np.full_like(picture, LEVEL + shade)
    restored[mask] = np.uint8(round(np.clip(LEVEL + shade + left * by, 0, 255)))
    shown = (float(restored[mask][0, 0]) - LEVEL - shade) / by
    assert remaining(picture, restored, mask) == pytest.approx(shown, abs=1e-9)


def test_a_defect_that_is_dark_and_bright_does_not_cancel_itself() -> None:
    picture, mask = spoilt(0)
    picture[20:24][:, 30:44] = LEVEL - 40
    picture[24:29][:, 30:44] = LEVEL + 40
    assert remaining(picture, picture, mask) == pytest.approx(1)
    assert remaining(picture, np.full_like(picture, LEVEL), mask) == pytest.approx(0)


def test_each_defect_is_held_against_its_own_surroundings() -> None:
    """On a part that gets lighter from left to right, two stains that are removed leave nothing."""
    part = np.repeat(np.linspace(40, 200, 100)[None, :, None], 80, axis=0)
    mask = np.zeros((80, 100), np.bool_)
    mask[20:24, 10:14] = mask[60:64, 80:84] = True
    seen = np.where(mask[..., None], part - 30, part)
    left = remaining(seen.astype(np.uint8), part.astype(np.uint8), mask)
    assert left == pytest.approx(0, abs=0.03)


def test_where_nothing_stands_out_nothing_is_said() -> None:
    picture, mask = spoilt(FAINTEST - 1)
    assert remaining(picture, picture, mask) is None
    assert remaining(picture, picture, np.zeros_like(mask)) is None
    assert remaining(picture, picture, np.ones_like(mask)) is None  # no surroundings


def with_defects(restored_by: float) -> list[Judged]:
    """The test split of reports with stains, of which so much is left."""
    made = []
    for index, one in enumerate(split()):
        if one.item.is_good:
            made.append(one)
            continue
        picture, mask = spoilt(-60 - index)
        restored = picture.copy()
        restored[mask] = np.uint8(round(LEVEL - (60 + index) * restored_by))
        grey = np.zeros(mask.shape, np.float32)
        made.append(replace(one, picture=picture, restored=restored, mask=mask, map=grey))
    return made


def test_the_figure_is_the_median_over_defects_and_absent_where_nothing_restores() -> None:
    assert figures(with_defects(0.25), None).remaining_contrast == pytest.approx(0.25, abs=0.01)
    same = [replace(one, restored=one.picture) for one in with_defects(0.25)]
    assert figures(same, None).remaining_contrast is None  # a yardstick shows what it was given
    unmarked = [replace(one, mask=None) for one in with_defects(0.25)]
    assert figures(unmarked, None).remaining_contrast is None


def test_the_best_and_the_worst_restorations_are_shown() -> None:
    picture, mask = spoilt(-60)
    many = []
    for index in range(3 * RESTORED):  # each restoration has a shade of its own to be known by
        restored = np.full_like(picture, 100 + index)
        restored[mask] = 100
        grey = np.zeros(mask.shape, np.float32)
        one = judged(1.0, good=False)
        many.append(replace(one, picture=picture, restored=restored, mask=mask, map=grey))
    shade, area = np.unique(restorations(many)[..., 0], return_counts=True)
    shown = set(shade[area > 20_000].tolist()) & {100 + index for index in range(3 * RESTORED)}
    least = {100 + index for index in range(RESTORED)}
    assert shown - {LEVEL} == (least | {100 + 2 * RESTORED + index for index in range(RESTORED)}) - {LEVEL}
    with pytest.raises(ValueError, match="no defect stands out"):
        restorations([judged(1.0, good=True)])


@pytest.mark.slow
def test_a_report_shows_restorations_where_there_are_some(tmp_path: Path) -> None:
    for name, some, is_there in (
        ("restored", with_defects(0.2), True),
        ("as seen", [replace(one, restored=one.picture) for one in with_defects(0.2)], False),
    ):
        write_report(figures(some, None), some, tmp_path / name)
        assert (tmp_path / name / "restored.png").is_file() is is_there
    sheet = cv2.imread(str(tmp_path / "restored" / "restored.png"))
    assert sheet.std() > 5

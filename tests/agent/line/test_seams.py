"""A defect has one box, area, centre and score in frame pixels, wherever tiles and scale put it."""

from __future__ import annotations

import numpy as np
import pytest

from agent.line.seams import defects, mosaic
from agent.messages import Defect, Floats


def found_in(
    cells: Floats,
    *,
    stride: int = 1,
    scale: float = 1.0,
    shape: tuple[int, int] | None = None,
    min_area_px: int = 1,
) -> tuple[Defect, ...]:
    height, width = cells.shape
    return defects(
        cells, 0.5, stride=stride, scale=scale, frame_shape=shape or (height, width), min_area_px=min_area_px
    )


@pytest.mark.parametrize(("left", "right"), [(0.2, 0.7), (0.7, 0.2)])
def test_overlapping_tiles_merge_by_their_maximum(left: float, right: float) -> None:
    maps = np.array([np.full((4, 4), left), np.full((4, 4), right)], np.float32)
    merged = mosaic(maps, ((0, 0), (2, 0)), 4, (4, 6))
    assert merged.dtype == np.float32
    assert np.array_equal(merged, np.tile(np.array([left, left, 0.7, 0.7, right, right], np.float32), (4, 1)))


def test_the_map_of_a_padded_frame_ends_with_the_frame() -> None:
    assert mosaic(np.ones((1, 8, 8), np.float32), ((0, 0),), 32, (10, 13)).shape == (3, 4)


def test_maps_that_do_not_divide_the_tile_are_refused() -> None:
    with pytest.raises(ValueError, match=r"7 x 7 cells do not divide a tile of 32 px"):
        mosaic(np.ones((1, 7, 7), np.float32), ((0, 0),), 32, (32, 32))


def test_diagonal_neighbours_are_one_defect_and_others_are_not() -> None:
    cells = np.zeros((5, 6), np.float32)
    cells[0, 0] = cells[1, 1] = 0.6
    cells[4, 4] = 0.9
    strong, wide = found_in(cells)
    assert strong.score == pytest.approx(0.9)
    assert (strong.bbox_px, strong.area_px) == ((4, 4, 1, 1), 1)
    assert (wide.bbox_px, wide.area_px, wide.centroid_px) == ((0, 0, 2, 2), 2, (0.5, 0.5))


def test_a_score_equal_to_the_threshold_is_a_defect() -> None:
    cells = np.full((1, 1), 0.1, np.float32)
    assert len(defects(cells, 0.1, stride=1, scale=1.0, frame_shape=(1, 1), min_area_px=1)) == 1


def test_boxes_are_in_pixels_of_the_frame_and_end_with_it() -> None:
    cells = np.zeros((4, 4), np.float32)
    cells[2:, 3] = 0.8
    (defect,) = found_in(cells, stride=8, scale=0.5, shape=(60, 61))
    assert defect.bbox_px == (48, 32, 13, 28)
    assert defect.area_px == 13 * 28
    assert defect.centroid_px == (55.5, 47.5)


def test_small_defects_are_dropped_by_their_area_in_the_frame() -> None:
    cells = np.zeros((8, 8), np.float32)
    cells[0, 0] = 0.9
    cells[4:6, 4:6] = 0.6
    assert [d.area_px for d in found_in(cells, stride=4, shape=(32, 32), min_area_px=17)] == [64]
    assert [d.area_px for d in found_in(cells, stride=4, shape=(32, 32), min_area_px=16)] == [16, 64]


def test_a_clean_frame_has_no_defects() -> None:
    assert found_in(np.zeros((8, 8), np.float32)) == ()


def test_cells_that_no_tile_covers_are_no_defect() -> None:
    merged = mosaic(np.zeros((1, 4, 4), np.float32), ((0, 0),), 4, (8, 8))
    assert found_in(merged) == ()

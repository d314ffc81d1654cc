"""Tiles cover a frame evenly and hold its pixels, with the border repeated where a frame is too small."""

from __future__ import annotations

import numpy as np
import pytest

from agent.line.tiles import cut, plan


def test_a_frame_of_one_tile_is_one_tile() -> None:
    assert plan(256, 256, 256, 32) == ((0, 0),)


def test_origins_are_x_y_row_by_row_evenly_spread_and_flush_with_the_border() -> None:
    assert plan(300, 500, 256, 32) == ((0, 0), (122, 0), (244, 0), (0, 44), (122, 44), (244, 44))


def test_a_solar_cell_of_300_px_takes_four_tiles_of_256() -> None:
    assert plan(300, 300, 256, 16) == ((0, 0), (44, 0), (0, 44), (44, 44))


def test_tiles_hold_the_pixels_under_them_in_one_block_of_memory() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    origins = plan(300, 500, 128, 16)
    tiles = cut(image, origins, 128)
    assert tiles.shape == (len(origins), 128, 128, 3) and tiles.flags.c_contiguous
    for one, (x, y) in zip(tiles, origins, strict=True):
        assert np.array_equal(one, image[y : y + 128, x : x + 128])


def test_a_frame_smaller_than_a_tile_is_padded_by_its_border() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    assert plan(2, 3, 5, 1) == ((0, 0),)
    (padded,) = cut(image, ((0, 0),), 5)
    assert padded[:, :, 0].tolist() == [[0, 1, 2, 2, 2]] + [[3, 4, 5, 5, 5]] * 4


@pytest.mark.parametrize("overlap", [-1, 64, 100])
def test_an_overlap_that_leaves_no_step_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"overlap {overlap} must be"):
        plan(100, 100, 64, overlap)


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to tile"):
        plan(0, 100, 64, 8)

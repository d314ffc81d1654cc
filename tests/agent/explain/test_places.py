"""The vector of a box: from the tile that has most of it, and from the places that are hot."""

from __future__ import annotations

import numpy as np
import pytest

from agent.explain.places import vector_of
from agent.messages import Floats, Prepared

TILE = 64  # 8 cells of features, 16 places of the map


def prepared(*origins: tuple[int, int], scale: float = 1.0) -> Prepared:
    return Prepared(
        tiles=np.zeros((len(origins), TILE, TILE, 1), np.uint8),
        origins=origins,
        shape=(TILE, max(x for x, _ in origins) + TILE),
        scale=scale,
        prepared_ns=0,
    )


def columns(tiles: int = 1) -> Floats:
    """Features that say tile and column of their cell."""
    cells = np.zeros((tiles, 2, 8, 8), np.float32)
    cells[:, 0] = np.arange(tiles)[:, None, None]
    cells[:, 1] = np.arange(8)
    return cells


def test_a_box_is_the_mean_of_the_cells_that_it_touches() -> None:
    assert vector_of(columns(), prepared((0, 0)), (16, 0, 10, 4)).tolist() == [0, 2.5]


def test_a_box_is_in_pixels_of_the_frame() -> None:
    assert vector_of(columns(), prepared((0, 0), scale=0.5), (64, 0, 16, 4)).tolist() == [0, 4]


@pytest.mark.parametrize(("x", "found"), [(10, [0, 1.5]), (60, [1, 2.5])])
def test_the_tile_that_has_most_of_a_box_counts(x: int, found: list[float]) -> None:
    assert vector_of(columns(2), prepared((0, 0), (40, 0)), (x, 8, 10, 8)).tolist() == found


def test_places_that_are_hot_count_and_others_do_not() -> None:
    hot = np.zeros((16, 16), np.bool_)
    hot[0, 4] = True  # in column 2
    found = vector_of(columns(), prepared((0, 0)), (0, 0, 64, 8), hot=hot, stride_px=4)
    assert found.tolist() == [0, 2]


def test_hot_places_of_a_later_tile_are_its_own() -> None:
    hot = np.zeros((16, 26), np.bool_)
    hot[0, 10 + 6] = True  # in column 3 of the tile that begins at place 10
    found = vector_of(columns(2), prepared((0, 0), (40, 0)), (60, 0, 44, 8), hot=hot, stride_px=4)
    assert found.tolist() == [1, 3]


def test_a_box_without_hot_places_is_the_mean_of_all() -> None:
    hot = np.zeros((16, 16), np.bool_)
    assert vector_of(columns(), prepared((0, 0)), (0, 0, 64, 8), hot=hot).tolist() == [0, 3.5]


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (63, 63, 1, 1), (63, 63, 500, 500)])
def test_the_smallest_box_at_any_border_has_a_vector(box: tuple[int, int, int, int]) -> None:
    assert np.isfinite(vector_of(columns(), prepared((0, 0)), box)).all()

"""Which tiles a box is looked for in."""

from __future__ import annotations

import numpy as np
import pytest

from agent.explain.places import tiles_of
from agent.messages import Prepared

TILE = 64


def prepared(*origins: tuple[int, int], scale: float = 1.0) -> Prepared:
    return Prepared(
        tiles=np.zeros((len(origins), TILE, TILE, 1), np.uint8),
        origins=origins,
        shape=(TILE, max(x for x, _ in origins) + TILE),
        scale=scale,
        prepared_ns=0,
    )


@pytest.mark.parametrize(("x", "order"), [(10, [0]), (50, [0, 1]), (60, [1, 0]), (90, [1])])
def test_the_tile_that_has_most_of_a_box_comes_first_and_those_without_any_not_at_all(
    x: int, order: list[int]
) -> None:
    assert tiles_of(prepared((0, 0), (40, 0)), (x, 8, 10, 8)) == order


def test_a_box_is_in_pixels_of_the_frame() -> None:
    assert tiles_of(prepared((0, 0), (40, 0), scale=0.5), (140, 0, 16, 4)) == [1]


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (63, 63, 1, 1), (63, 63, 500, 500), (900, 900, 1, 1)])
def test_a_box_at_any_border_has_a_tile(box: tuple[int, int, int, int]) -> None:
    assert tiles_of(prepared((0, 0)), box) == [0]

"""What surroundings say of places that do not count."""

from __future__ import annotations

import pytest
import torch

from models.parts.filling import filled


def test_a_place_that_does_not_count_takes_its_surroundings() -> None:
    cells = torch.full((2, 3, 16, 16), 4.0)
    counts = torch.ones(2, 1, 16, 16)
    cells[..., 5:9, 6:11] = -100.0
    counts[..., 5:9, 6:11] = 0.0
    assert torch.allclose(filled(cells, counts), torch.tensor(4.0), atol=1.0)
    assert torch.allclose(filled(cells, counts)[..., 5:9, 6:11], torch.tensor(4.0), atol=0.05)


def test_a_slope_goes_on_through_a_hole() -> None:
    slope = torch.linspace(0, 1, 16).expand(1, 1, 16, 16).clone()
    counts = torch.ones_like(slope)
    counts[..., 6:10, 6:10] = 0.0
    assert torch.allclose(filled(slope, counts)[..., 6:10, 6:10], slope[..., 6:10, 6:10], atol=0.1)


@pytest.mark.parametrize("side", [1, 2, 6, 8, 64])
def test_where_nothing_counts_it_is_the_mean_of_all(side: int) -> None:
    cells = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(side))
    found = filled(cells, torch.zeros(2, 1, side, side))
    assert torch.allclose(found, cells.mean((2, 3), keepdim=True).expand_as(cells), atol=1e-5)


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    rng = torch.Generator().manual_seed(0)
    cells, counts = torch.rand(3, 2, 8, 8, generator=rng), torch.rand(3, 1, 8, 8, generator=rng)
    together = filled(cells, counts)
    alone = torch.cat([filled(cells[index : index + 1], counts[index : index + 1]) for index in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("side", [8, 12, 20, 32, 40])
def test_a_hole_of_most_of_the_grid_takes_what_is_around_it(side: int) -> None:
    cells, counts = torch.full((1, 1, side, side), 0.5), torch.ones(1, 1, side, side)
    hole = slice(1, 1 + 3 * side // 4)
    cells[..., hole, hole] = -1.0
    counts[..., hole, hole] = 0.0
    assert torch.allclose(filled(cells, counts)[..., hole, hole], torch.tensor(0.5), atol=0.02)

"""How far a cell is from good ones: the layer says what a plain search of the nearest would."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.parts.memory import NEAREST, Memory, clustered, neighbourhoods
from models.parts.whitening import Whitening, whiten

EXACT = torch.zeros(1, 6)  # half precision errs by nothing


def levels(count: int, seed: int, channels: int = 6) -> Tensor:
    """Correlated channels of unlike loudness, (count, channels, 5, 5)."""
    rng = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=rng) * torch.logspace(-1, 1, channels)
    own = torch.randn(count, channels, 5, 5, generator=torch.Generator().manual_seed(seed + 1))
    return torch.einsum("ij,njhw->nihw", mixing, own) + 3


def cells_of(some: Tensor) -> Tensor:
    return neighbourhoods(some).permute(0, 2, 3, 1).flatten(0, 2)


def shipped_whitening(good: Tensor) -> Whitening:
    exact = whiten(cells_of(good))
    return replace(exact, turn=exact.turn.half().float())


@pytest.mark.parametrize("seed", range(3))
def test_a_memory_says_the_distance_to_the_nearest_prototype(seed: int) -> None:
    good, others = levels(20, seed), levels(4, seed) * 1.5
    memory = Memory(6, 16)
    memory.fit(cells_of(good), EXACT, np.random.default_rng(seed))
    whitening = shipped_whitening(good)
    prototypes = clustered(whitening.of(cells_of(good)), 16, np.random.default_rng(seed))
    plain = torch.cdist(whitening.of(cells_of(others)), prototypes).amin(1).clamp_min(NEAREST).log()
    assert torch.allclose(memory(others).flatten(), plain, atol=1e-3)


def test_what_is_remembered_is_near_and_what_is_not_is_far() -> None:
    good = levels(20, 0)
    memory = Memory(6, 25 * 20)  # every cell
    memory.fit(cells_of(good), EXACT, np.random.default_rng(0))
    assert torch.allclose(memory(good), torch.tensor(math.log(NEAREST)), atol=0.1)
    assert memory(good + 20).min() > memory(good).max() + 1


def test_a_distance_that_half_precision_makes_of_equal_parts_is_none() -> None:
    good = levels(20, 0)
    memory, errs = Memory(6, 500), 0.2 * torch.randn(500, 6, generator=torch.Generator().manual_seed(3))
    memory.fit(cells_of(good), errs, np.random.default_rng(0))
    noise = shipped_whitening(good).turn.T @ errs.T
    assert float(memory.nearest) == pytest.approx(3 * float(noise.square().sum(0).mean().sqrt()), rel=1e-4)
    assert torch.equal(memory(good), memory.nearest.log().expand(20, 1, 5, 5))


def test_rounding_what_is_remembered_to_half_precision_changes_no_distance() -> None:
    good = levels(20, 0)
    memory = Memory(6, 500)
    memory.fit(cells_of(good), EXACT, np.random.default_rng(0))
    prototypes = memory.toward.weight[:, :, 0, 0] / -2
    assert torch.equal(memory.toward.bias, prototypes.square().sum(1))
    before = memory(good)
    for layer in (memory.whiten, memory.toward):
        layer.weight.copy_(layer.weight.half().float())
    assert torch.equal(memory(good), before)


def test_a_border_cell_is_the_mean_of_what_there_is() -> None:
    level = torch.ones(1, 2, 4, 4)
    assert torch.equal(neighbourhoods(level), level)


def test_equal_seeds_remember_equally_and_every_prototype_stands_for_cells() -> None:
    points = whiten(cells_of(levels(20, 0))).of(cells_of(levels(20, 0)))
    first, second = (clustered(points, 16, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, clustered(points, 16, np.random.default_rng(6)))
    nearest = torch.cdist(points, first).argmin(1)
    assert len(nearest.unique()) == 16


def test_fewer_cells_than_prototypes_are_refused() -> None:
    with pytest.raises(ValueError, match="15 cells of good parts for 16 prototypes"):
        Memory(6, 16).fit(torch.randn(15, 6), EXACT, np.random.default_rng(0))

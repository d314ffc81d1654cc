"""The memory keeps good patches that lie far apart, and finds strange what is far from all of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.judging.memory import (
    NEIGHBOURS,
    PROJECTED,
    Memory,
    Whitening,
    coreset,
    joined,
    nearest,
    remember,
    rows_of,
    whiten,
)

SEEDS = st.integers(0, 2**31)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(count: int, seed: int = 0, channels: tuple[int, ...] = (6, 9)) -> list[Tensor]:
    """Cells of two levels; channels are of very different strength, and some go together."""
    rng = generator(seed)
    found = []
    for width in channels:
        mixed = torch.randn(count, width, generator=rng) @ torch.randn(
            width, width, generator=generator(width)
        )
        found.append(mixed * torch.logspace(-1, 1, width) + 5)
    return found


@given(seed=SEEDS)
def test_whitened_patches_spread_alike_but_for_the_shrinking(seed: int) -> None:
    """An eigenvalue l of the correlation matrix becomes l / (0.95 l + 0.05)."""
    level = rows(500, seed, (6,))[0].double()
    found = whiten(level).of(level) * 6**0.5
    own = torch.linalg.eigvalsh(torch.corrcoef(level.T))
    spread = torch.linalg.eigvalsh(found.T @ found / len(found))
    assert torch.allclose(spread, (own / (0.95 * own + 0.05)).sort().values, atol=1e-3)
    assert float(found.mean(0).abs().max()) < 1e-3


def test_a_channel_that_never_moves_does_not_break_it_nor_count_without_bound() -> None:
    level = rows(200, 0, (6,))[0]
    level[:, 2] = 7.0
    found = whiten(level)
    assert bool(found.turn.isfinite().all())
    moved = level[:1].clone()
    moved[0, 2] += 0.01
    assert float((found.of(moved) - found.of(level[:1])).norm()) < 100


def test_fewer_cells_than_channels_can_be_whitened() -> None:
    found = whiten(torch.randn(5, 40, generator=generator()))
    assert bool(found.turn.isfinite().all())
    assert bool(whiten(torch.zeros(5, 40)).turn.isfinite().all())


def test_levels_become_cells_of_the_finest_grid() -> None:
    fine, coarse = torch.randn(1, 3, 8, 10, generator=generator()), torch.randn(1, 5, 4, 5)
    found, grid = rows_of([fine, coarse])
    assert grid == (8, 10)
    assert [tuple(one.shape) for one in found] == [(80, 3), (80, 5)]
    middle = fine[0, :, 2:5, 3:6].mean((1, 2))
    assert torch.allclose(found[0].view(8, 10, 3)[3, 4], middle, atol=1e-6)
    corner = fine[0, :, :2, :2].mean((1, 2))  # what lies outside does not count
    assert torch.allclose(found[0][0], corner, atol=1e-6)


def test_distances_and_score_equal_their_definition() -> None:
    memory = remember(rows(400), 60, generator())
    seen = rows(30, 7)
    patches = joined(seen, memory.whitenings).double()
    kept = memory.patches.double()
    distances = (patches[:, None] - kept[None]).norm(dim=2)  # (P, K)
    worst = int(distances.min(1).values.argmax())
    near = int(distances[worst].argmin())
    around = (kept - kept[near]).norm(dim=1).argsort()[:NEIGHBOURS]
    weight = 1 - distances[worst, near].exp() / distances[worst, around].exp().sum()
    found, score = memory.judge(seen)
    assert torch.allclose(found.double(), distances.min(1).values, atol=1e-3)
    assert float(score) == pytest.approx(float(weight * distances[worst, near]), rel=1e-4)


def test_what_is_remembered_whole_is_not_strange_at_all() -> None:
    good = rows(50)
    distance, score = remember(good, 50, generator()).judge(good)
    assert float(distance.max()) < 1e-3
    assert float(score) < 1e-3


def test_it_keeps_so_many_and_all_where_there_are_no_more() -> None:
    good = rows(200)
    memory = remember(good, 40, generator())
    assert len(memory.patches) == 40
    there = joined(good, memory.whitenings)
    assert all((there == one).all(1).any() for one in memory.patches)
    assert len(remember(good, 1000, generator()).patches) == 200


def test_a_memory_smaller_than_its_neighbourhood_still_judges() -> None:
    plain = Whitening(middle=torch.zeros(2), turn=torch.eye(2))
    memory = Memory(whitenings=(plain,), patches=torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    distance, score = memory.judge([torch.tensor([[3.0, 0.0], [0.0, 0.0]])])
    assert distance.tolist() == [2.0, 0.0]
    assert 0 < float(score) < 2


@pytest.mark.slow
@given(seed=SEEDS)
def test_each_chosen_patch_is_the_farthest_from_those_before_it(seed: int) -> None:
    patches = torch.randn(60, 20, generator=generator(seed))
    projection = torch.randn(20, PROJECTED, generator=generator(1)) / PROJECTED**0.5
    points = patches @ projection
    chosen = coreset(patches, 30, generator(1)).tolist()
    assert len(set(chosen)) == 30
    between = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    for count in range(1, 30):
        gaps = between[:, chosen[:count]].min(1).values
        assert float(gaps[chosen[count]]) == pytest.approx(float(gaps.max()), abs=1e-3)


def test_a_rare_good_patch_is_remembered_where_chance_would_miss_it() -> None:
    common = torch.randn(2000, 20, generator=generator(2)) * 0.1
    rare = torch.full((1, 20), 3.0)
    assert 2000 in coreset(torch.cat([common, rare]), 20, generator(3)).tolist()


@given(seed=SEEDS)
def test_the_nearest_come_first(seed: int) -> None:
    patches, memory = torch.randn(5, 4, generator=generator(seed)), torch.randn(9, 4, generator=generator(1))
    found = nearest(patches, memory, 3)
    for patch, own in zip(patches, found, strict=True):
        distances = (memory - patch).norm(dim=1)
        assert torch.allclose(distances[own], distances.sort().values[:3], atol=1e-4)

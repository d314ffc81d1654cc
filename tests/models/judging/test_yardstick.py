"""The yardstick remembers good patches that lie far apart, and finds strange what is far from all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agent.messages import Pixels
from models.judging import yardstick
from models.judging.yardstick import NEIGHBOURS, PROJECTED, Yardstick, build_memory, coreset, embed
from tests.models.tiny import woven

SIDE = 64
SEEDS = st.integers(0, 2**31)


def good(count: int, seed: int, channels: int = 1) -> Pixels:
    """Weaves alike, (count, SIDE, SIDE, channels)."""
    rng = np.random.default_rng(seed)
    return np.repeat(np.stack([woven(rng)[:SIDE, :SIDE] for _ in range(count)]), channels, axis=3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def built() -> Yardstick:
    return build_memory(good(24, 0), seed=0)


def patches_of(one: Yardstick, tile: Pixels) -> Tensor:
    """(P, C)"""
    return embed(one.features, tile[None])[0].flatten(1).T


def test_a_scratch_scores_above_good_parts_and_the_map_peaks_on_it(built: Yardstick) -> None:
    scratched = good(6, 1)
    scratched[:, 30:33, 8:40] = 15
    found = built.inspect(scratched)
    assert found.scores.min() > built.inspect(good(6, 2)).scores.max()
    for map_ in found.maps:
        row, column = np.unravel_index(map_.argmax(), map_.shape)
        assert 24 <= row < 40
        assert 0 <= column < 48


def test_equal_seeds_give_the_same_bits_and_others_do_not(built: Yardstick) -> None:
    same, other = build_memory(good(24, 0), seed=0), build_memory(good(24, 0), seed=1)
    assert torch.equal(built.memory, same.memory)
    assert not torch.equal(built.memory, other.memory)
    one, two = built.inspect(good(2, 3)), same.inspect(good(2, 3))
    assert (one.scores == two.scores).all()
    assert (one.maps == two.maps).all()


def test_a_tile_is_judged_alike_in_any_company(built: Yardstick) -> None:
    tiles = good(4, 3)
    together = built.inspect(tiles)
    for index, tile in enumerate(tiles):
        alone = built.inspect(tile[None])
        assert alone.scores[0] == together.scores[index]
        assert (alone.maps[0] == together.maps[index]).all()


def test_distances_and_score_equal_their_definition(built: Yardstick) -> None:
    tile = good(1, 4)[0]
    patches = patches_of(built, tile).double()
    memory = built.memory.double()
    distances = (patches[:, None] - memory[None]).norm(dim=2)  # (P, K)
    worst = int(distances.min(1).values.argmax())
    nearest = int(distances[worst].argmin())
    around = (memory - memory[nearest]).norm(dim=1).argsort()[:NEIGHBOURS]
    weight = 1 - distances[worst, nearest].exp() / distances[worst, around].exp().sum()
    found, score = built.judge(patches_of(built, tile))
    assert torch.allclose(found.double(), distances.min(1).values, atol=1e-3)
    assert float(score) == pytest.approx(float(weight * distances[worst, nearest]), rel=1e-4)


def test_a_tile_that_is_remembered_whole_is_not_strange_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yardstick, "SHARE", 1.0)
    tiles = good(2, 0)
    found = build_memory(tiles, seed=0).inspect(tiles)
    assert (found.scores == 0).all()
    assert (found.maps == 0).all()


def test_answers_have_the_tiles_size_and_hand_them_back_as_they_are(built: Yardstick) -> None:
    tiles = good(3, 6)
    found = built.inspect(tiles)
    assert found.scores.shape == (3,)
    assert found.maps.shape == (3, SIDE, SIDE)
    assert found.maps.dtype == found.scores.dtype == np.float32
    assert (found.restored == tiles).all()


def test_colour_is_taken_and_grey_in_three_channels_is_grey(built: Yardstick) -> None:
    found = built.inspect(good(2, 6, channels=3))
    assert found.scores == pytest.approx(built.inspect(good(2, 6)).scores, rel=1e-4)


def test_the_memory_is_a_tenth_of_at_most_so_many_random_patches(
    built: Yardstick, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_all = 24 * (SIDE // 8) ** 2
    assert len(built.memory) == round(in_all / 10)
    monkeypatch.setattr(yardstick, "COVERED", 400)
    few = build_memory(good(24, 0), seed=0).memory
    assert len(few) == 40
    there = torch.cat([patches_of(built, tile) for tile in good(24, 0)])
    assert all((there == one).all(1).any() for one in few)


@pytest.mark.slow
@given(seed=SEEDS)
def test_each_chosen_patch_is_the_farthest_from_those_before_it(seed: int) -> None:
    patches = torch.randn(60, 20, generator=generator(seed))
    projection = torch.randn(20, PROJECTED, generator=generator(1)) / PROJECTED**0.5
    points = patches @ projection
    chosen = coreset(patches, 0.5, generator(1)).tolist()
    assert len(set(chosen)) == 30
    between = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    for count in range(1, 30):
        gaps = between[:, chosen[:count]].min(1).values
        assert float(gaps[chosen[count]]) == pytest.approx(float(gaps.max()), abs=1e-3)


def test_a_rare_good_patch_is_remembered_where_chance_would_miss_it() -> None:
    common = torch.randn(2000, 20, generator=generator(2)) * 0.1
    rare = torch.full((1, 20), 3.0)
    assert 2000 in coreset(torch.cat([common, rare]), 0.01, generator(3)).tolist()

"""Evidence keeps its meaning: distances between 0 and 2, blur without loss, a score from the top pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, maximum_filter
from torch import Tensor

from models.parts.losses import focal, soft_dice
from models.parts.maps import (
    Blur,
    cosine_distance,
    geometric_mean,
    nearby_distance,
    nearest_distance,
    percentile,
    prominence,
    top_mean,
)

SEEDS = st.integers(0, 2**31)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seed=SEEDS)
def test_cosine_distance_ignores_scale_and_runs_from_0_to_2(seed: int) -> None:
    a = randn(seed, 2, 8, 4, 4)
    assert torch.allclose(cosine_distance(a, 3 * a), torch.zeros(2, 1, 4, 4), atol=1e-5)
    assert torch.allclose(cosine_distance(a, -a), torch.full((2, 1, 4, 4), 2.0), atol=1e-5)
    b = randn(seed + 1, 2, 8, 4, 4)
    expected = 1 - torch.cosine_similarity(a, b, 1)[:, None]
    assert torch.allclose(cosine_distance(a, b), expected, atol=1e-5)


def test_the_distance_of_nothing_to_anything_is_finite() -> None:
    zero = torch.zeros(1, 8, 2, 2)
    assert torch.isfinite(cosine_distance(zero, zero)).all()
    assert torch.isfinite(cosine_distance(zero, zero + 1)).all()


@given(seed=SEEDS)
def test_the_nearest_distance_is_the_smallest_of_all_pairs(seed: int) -> None:
    a, b = randn(seed, 2, 8, 4, 6), randn(seed + 1, 2, 8, 4, 6)
    found = nearest_distance(a, b)
    for row, column in ((0, 0), (3, 5), (1, 2)):
        to_all = 1 - torch.cosine_similarity(a[:, :, row : row + 1, column : column + 1], b, 1)
        assert torch.allclose(found[:, 0, row, column], to_all.amin((1, 2)), atol=1e-5)


def test_the_nearest_distance_has_a_direction() -> None:
    a = randn(0, 1, 8, 4, 4)
    b = a.clone()
    b[:, :, 1, 1] = -a[:, :, 2, 2]  # one position that nothing in a looks like
    forward, reverse = nearest_distance(a, b), nearest_distance(b, a)
    assert forward.amax() == forward[0, 0, 1, 1] > 0.2
    assert reverse.amax() == reverse[0, 0, 1, 1] > 0.2
    assert forward[0, 0, 1, 1] != reverse[0, 0, 1, 1]


@given(seed=SEEDS)
def test_the_nearby_distance_is_the_smallest_of_a_window(seed: int) -> None:
    a, b = randn(seed, 2, 8, 5, 6), randn(seed + 1, 2, 8, 5, 6)
    found = nearby_distance(a, b)
    for row, column in ((0, 0), (4, 5), (2, 3)):
        window = b[:, :, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        to_all = 1 - torch.cosine_similarity(a[:, :, row : row + 1, column : column + 1], window, 1)
        assert torch.allclose(found[:, 0, row, column], to_all.amin((1, 2)), atol=1e-5)


def test_a_shift_by_one_is_forgiven_nearby_and_by_three_only_anywhere() -> None:
    a = randn(0, 1, 8, 8, 8)
    one, three = a.roll(1, 3), a.roll(3, 3)
    inside = (..., slice(None), slice(0, 5))  # the last columns have rolled over
    assert nearby_distance(a, one)[inside].amax() < 1e-5
    assert nearby_distance(a, three)[inside].amin() > 0.01
    assert nearest_distance(a, three).amax() < 1e-5


@given(seed=SEEDS, share=st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_with_its_share_below(seed: int, share: float) -> None:
    values = randn(seed, 5, 20)
    found = percentile(values, share)
    assert (values == found).any()
    assert abs(float((values <= found).float().mean()) - share) <= 0.01


@pytest.mark.parametrize("sigma_px", [1.0, 3.0])
def test_blur_is_a_gaussian_with_mirrored_borders(sigma_px: float) -> None:
    maps = randn(0, 1, 1, 20, 24)
    expected = gaussian_filter(maps[0, 0].double().numpy(), sigma_px, mode="mirror", truncate=3.0)
    assert torch.allclose(Blur(sigma_px)(maps)[0, 0].double(), torch.from_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("sigma_px", [0.7, 3.0, 6.0])
def test_an_isolated_pixel_counts_wherever_it_lies(sigma_px: float) -> None:
    side = 40
    inside = float(Blur(sigma_px).row.amax()) ** 2
    corner = torch.eye(side * side)[[row * side + column for row in range(20) for column in range(20)]]
    peaks = Blur(sigma_px)(corner.view(-1, 1, side, side)).amax((1, 2, 3))
    assert peaks.min() > 0.999 * inside
    assert peaks.max() < 4 * inside  # two mirrors meet beside a corner; a repeated border made it 64 times


def test_a_good_map_has_its_maximum_anywhere() -> None:
    at = Blur(0.7)(randn(0, 200, 1, 64, 64).abs()).flatten(1).argmax(1)  # as the student blurs
    rows, columns = at // 64, at % 64
    outermost = (rows % 63 == 0) | (columns % 63 == 0)  # 6 % of the pixels; 44 % with a repeated border
    assert outermost.float().mean() < 0.2


def test_blur_leaves_a_flat_map_flat() -> None:
    assert torch.allclose(Blur(2.0)(torch.full((1, 1, 8, 8), 0.7)), torch.tensor(0.7), atol=1e-6)


@given(seed=SEEDS, count=st.integers(1, 36))
def test_a_score_is_the_mean_of_the_largest_pixels(seed: int, count: int) -> None:
    maps = randn(seed, 3, 1, 6, 6)
    expected = maps.flatten(1).sort(1, descending=True).values[:, :count].mean(1)
    assert torch.allclose(top_mean(maps, count), expected, atol=1e-6)


def test_the_geometric_mean_needs_both() -> None:
    assert geometric_mean(torch.tensor(4.0), torch.tensor(9.0)) == 6.0
    assert geometric_mean(torch.tensor(0.0), torch.tensor(9.0)) == 0.0
    assert geometric_mean(torch.tensor(-1.0), torch.tensor(9.0)) == 0.0


@pytest.mark.slow
@given(seed=SEEDS)
def test_losses_fall_as_the_answer_gets_surer_and_right(seed: int) -> None:
    target = (randn(seed, 2, 1, 8, 8) > 1).float()
    sure, unsure, wrong = (strength * (2 * target - 1) for strength in (8.0, 0.0, -8.0))
    for loss in (focal, soft_dice):
        assert 0 <= loss(sure, target) < loss(unsure, target)
    assert focal(unsure, target) < focal(wrong, target)


def test_focal_without_focus_is_cross_entropy() -> None:
    logits, target = randn(0, 2, 1, 4, 4), (randn(1, 2, 1, 4, 4) > 0).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert torch.allclose(focal(logits, target, gamma=0.0), expected)


@given(seed=SEEDS, radius=st.integers(1, 9), fall=st.floats(0.5, 4))
def test_what_is_prominent_is_so_beside_all_that_is_within_the_radius(
    seed: int, radius: int, fall: float
) -> None:
    maps = randn(seed, 2, 1, 12, 9)
    largest = maximum_filter(maps.numpy(), (1, 1, 2 * radius + 1, 2 * radius + 1), mode="constant", cval=-99)
    expected = (1 - (torch.from_numpy(largest) - maps) / fall).clamp(0, 1)
    assert torch.allclose(prominence(maps, radius, fall), expected, atol=1e-6)

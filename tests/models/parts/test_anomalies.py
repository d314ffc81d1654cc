"""Synthetic defects are labelled exactly where pixels changed, whatever the part, shape and source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Pixels
from models.parts.anomalies import CHANGED_GREY_LEVELS, SHAPE_ODDS, SHAPES, spoil

SEEDS = st.integers(0, 2**31)
SIZES = st.sampled_from([(64, 64, 1), (64, 64, 3), (48, 96, 1), (96, 48, 3)])


def parts(shape: tuple[int, int, int], seed: int) -> tuple[Pixels, Pixels]:
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 256, (2, *shape), np.uint8)
    return one, other


@given(shape=SIZES, seed=SEEDS)
def test_a_label_says_exactly_where_pixels_moved_visibly(shape: tuple[int, int, int], seed: int) -> None:
    image, other = parts(shape, seed)
    spoilt, mask = spoil(image, other, np.random.default_rng(seed))
    assert spoilt.shape == image.shape
    assert spoilt.dtype == np.uint8
    assert mask.shape == image.shape[:2]
    assert mask.dtype == np.bool_
    moved = np.abs(spoilt.astype(int) - image.astype(int)).max(2)
    assert (moved[mask] >= CHANGED_GREY_LEVELS).all()
    assert (moved[~mask] < CHANGED_GREY_LEVELS).all()
    assert mask.any() == (moved.max() >= CHANGED_GREY_LEVELS)


@given(shape=SIZES, seed=SEEDS)
def test_the_same_seed_spoils_the_same_way(shape: tuple[int, int, int], seed: int) -> None:
    image, other = parts(shape, seed)
    one, two = (spoil(image, other, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


def test_the_parts_given_are_left_as_they_are() -> None:
    image, other = parts((64, 64, 1), 0)
    kept = image.copy(), other.copy()
    for seed in range(30):
        spoil(image, other, np.random.default_rng(seed))
    assert np.array_equal(image, kept[0])
    assert np.array_equal(other, kept[1])


def test_most_spoilt_parts_have_a_label_and_none_is_all_label() -> None:
    image, other = parts((64, 64, 1), 0)
    shares = np.array([spoil(image, other, np.random.default_rng(seed))[1].mean() for seed in range(200)])
    assert (shares > 0).mean() > 0.9
    assert np.median(shares) < 0.3


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_each_shape_gives_weights_between_0_and_1_and_nearly_always_some(
    shape: Callable[..., object],
) -> None:
    drawn = [np.asarray(shape(64, 80, np.random.default_rng(seed))) for seed in range(100)]
    assert all(weights.shape == (64, 80) and weights.dtype == np.float32 for weights in drawn)
    assert all(weights.min() >= 0 and weights.max() <= 1 + 1e-6 for weights in drawn)
    assert sum(weights.max() > 0.1 for weights in drawn) >= 90


def test_every_shape_has_its_odds() -> None:
    assert len(SHAPES) == len(SHAPE_ODDS)
    assert sum(SHAPE_ODDS) == pytest.approx(1)

"""Synthetic defects are labelled exactly where pixels changed, whatever the part, shape and source.

Nothing outside the foreground changes, and nothing depends on anything but the arguments.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Pixels
from models.parts.defects.anomalies import (
    CHANGED_GREY_LEVELS,
    SHAPE_ODDS,
    SHAPES,
    SOURCE_ODDS,
    SOURCES,
    TEXTURED,
    spoil,
)

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


@given(shape=SIZES, seed=SEEDS)
def test_nothing_outside_the_foreground_changes(shape: tuple[int, int, int], seed: int) -> None:
    image, other = parts(shape, seed)
    foreground = np.zeros(shape[:2], np.bool_)
    foreground[10:40, 20:44] = True
    rng = np.random.default_rng(seed)
    spoilt, mask = spoil(image, other, rng, foreground=foreground, textures=[other])
    assert np.array_equal(spoilt[~foreground], image[~foreground])
    assert not mask[~foreground].any()


def test_a_small_foreground_is_still_hit_mostly() -> None:
    image, other = parts((64, 64, 1), 0)
    foreground = np.zeros((64, 64), np.bool_)
    foreground[24:40, 24:40] = True  # a sixteenth of the part
    hit = [
        spoil(image, other, np.random.default_rng(seed), foreground=foreground)[1].any()
        for seed in range(200)
    ]
    assert np.mean(hit) > 0.75  # at one try each it is less than half


def test_a_part_without_foreground_stays_as_it_is() -> None:
    image, other = parts((64, 64, 3), 0)
    nowhere = np.zeros((64, 64), np.bool_)
    for seed in range(10):
        spoilt, mask = spoil(image, other, np.random.default_rng(seed), foreground=nowhere)
        assert np.array_equal(spoilt, image)
        assert not mask.any()


def test_textures_show_up_where_they_are_given() -> None:
    """A grey part, and a texture of one saturated colour that no other source can make of it."""
    grey = np.full((64, 64, 3), 120, np.uint8)
    paint = np.full((16, 24, 3), (250, 10, 10), np.uint8)

    def coloured(textures: list[Pixels]) -> float:
        drawn = [spoil(grey, grey, np.random.default_rng(seed), textures=textures)[0] for seed in range(300)]
        spread = [(one.astype(int).max(2) - one.astype(int).min(2)).max() > 100 for one in drawn]
        return float(np.mean(spread))

    assert coloured([paint]) > coloured([]) + 0.1


def test_every_shape_and_source_has_its_odds() -> None:
    for table, odds in ((SHAPES, SHAPE_ODDS), (SOURCES, SOURCE_ODDS)):
        assert len(table) == len(odds)
        assert sum(odds) == pytest.approx(1)
    assert 0 < TEXTURED < 1

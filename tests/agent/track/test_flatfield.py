"""An uneven light and sensor give an even picture; the fast path computes what the plain one says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Pixels, Samples
from agent.track.flatfield import FlatField, FlatFieldError, correct_plain, flat_field


def uneven(width: int, channels: int, seed: int) -> tuple[Pixels, Pixels, np.random.Generator]:
    """Dark and white references of a vignetted, noisy sensor."""
    rng = np.random.default_rng(seed)
    floor = rng.uniform(2, 12, (width, channels))
    light = (
        140
        * (1 - 0.6 * np.linspace(-1, 1, width)[:, np.newaxis] ** 2)
        * rng.uniform(0.9, 1.1, (width, channels))
    )
    dark = floor + rng.normal(0, 1.5, (256, width, channels))
    white = floor + light + rng.normal(0, 1.5, (256, width, channels))
    return to_pixels(dark), to_pixels(white), rng


def field_of(dark: Samples | None, white: Samples, *, max_gain: float = 8.0, bit_depth: int = 8) -> FlatField:
    return flat_field(
        None if dark is None else dark.mean(axis=0, dtype=np.float32),
        white.mean(axis=0, dtype=np.float32),
        max_gain=max_gain,
        bit_depth=bit_depth,
    )


def to_pixels(values: np.ndarray) -> Pixels:
    pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


@given(
    lines=st.integers(1, 40),
    width=st.integers(1, 70),
    channels=st.sampled_from([1, 3]),
    dead=st.lists(st.integers(0, 69), max_size=8),
    seed=st.integers(0, 2**16),
)
def test_the_fast_path_equals_the_plain_one_within_one_grey_value(
    lines: int, width: int, channels: int, dead: list[int], seed: int
) -> None:
    dark, white, rng = uneven(width, channels, seed)
    for column in dead:
        if column < width and 2 * len(set(dead)) < width:
            white[:, column] = dark[:, column]
    field = field_of(dark, white)
    raw = rng.integers(0, 256, (lines, width, channels), dtype=np.uint8)
    fast, plain = field.correct(raw), correct_plain(field, raw)
    assert fast.shape == raw.shape and fast.dtype == np.uint8
    assert np.abs(fast.astype(int) - plain).max() <= 1


def test_blocks_of_the_fast_path_leave_no_trace() -> None:
    dark, white, rng = uneven(4096, 1, seed=5)
    field = field_of(dark, white)
    raw = rng.integers(0, 256, (3 * len(field.dark) + 7, 4096, 1), dtype=np.uint8)
    line_by_line = np.concatenate([field.correct(raw[n : n + 1]) for n in range(len(raw))])
    assert np.array_equal(field.correct(raw), line_by_line)


def test_an_even_target_becomes_even() -> None:
    dark, white, _ = uneven(512, 3, seed=1)
    field = field_of(dark, white)
    before, after = white.mean(axis=0), field.correct(white).mean(axis=0)
    assert before.std(axis=0).min() > 20
    assert after.std(axis=0).max() < 0.6
    assert np.allclose(
        after.mean(axis=0), np.median(white.mean(axis=0) - dark.mean(axis=0), axis=0), atol=1.5
    )


def test_gains_stay_within_their_bounds() -> None:
    white = np.full((8, 9, 1), 100, np.uint8)
    white[:, 0], white[:, 1] = 10, 250
    field = field_of(None, white, max_gain=2.0)
    assert field.gain[0, :, 0].tolist() == [2.0, 0.5] + [1.0] * 7
    assert field.dead.size == 0


def test_dead_columns_are_drawn_from_their_nearest_good_neighbours() -> None:
    white = np.full((8, 9, 1), 100, np.uint8)
    white[:, [0, 3, 4, 8]] = 0
    field = field_of(None, white)
    raw = np.array([[0, 10, 40, 255, 255, 100, 50, 70, 0]], np.uint8)[:, :, np.newaxis]
    assert field.correct(raw)[0, :, 0].tolist() == [10, 10, 40, 60, 80, 100, 50, 70, 70]


def test_the_picture_that_comes_in_is_left_alone() -> None:
    dark, white, rng = uneven(64, 1, seed=2)
    raw = rng.integers(0, 256, (8, 64, 1), dtype=np.uint8)
    kept = raw.copy()
    field_of(dark, white).correct(raw)
    assert np.array_equal(raw, kept)


@given(
    bit_depth=st.integers(9, 16),
    width=st.integers(1, 70),
    dead=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_deep_pixels_keep_their_depth_and_the_fast_path_equals_the_plain_one(
    bit_depth: int, width: int, dead: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    full = (1 << bit_depth) - 1
    floor = rng.uniform(0, 0.05 * full, (1, width, 1))
    white = floor + rng.uniform(0.2 * full, 0.9 * full, (1, width, 1))
    if dead and width > 4:
        white[:, 1] = floor[:, 1]
    field = field_of(floor.astype(np.uint16), white.astype(np.uint16), bit_depth=bit_depth)
    raw = rng.integers(0, full + 1, (7, width, 1)).astype(np.uint16)
    fast, plain = field.correct(raw, bit_depth), correct_plain(field, raw)
    assert fast.dtype == np.uint16 and fast.max() <= full
    assert np.abs(fast.astype(int) - plain).max() <= 1


def test_pixels_of_another_depth_are_one_clear_error() -> None:
    dark, white, _ = uneven(64, 1, seed=3)
    field = field_of(dark, white)
    with pytest.raises(FlatFieldError, match=r"of 8 bits, the camera gives .* of 12 bits; calibrate"):
        field.correct(np.zeros((4, 64, 1), np.uint16), 12)


@pytest.mark.parametrize("shape", [(4, 63, 1), (4, 64, 3)])
def test_another_width_or_channel_count_is_one_clear_error(shape: tuple[int, int, int]) -> None:
    dark, white, _ = uneven(64, 1, seed=3)
    field = field_of(dark, white)
    with pytest.raises(
        FlatFieldError,
        match=r"it is 64 px wide with 1 channels of 8 bits, the camera gives .*calibrate this camera",
    ):
        field.correct(np.zeros(shape, np.uint8))


def test_dark_and_white_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(FlatFieldError, match="dark is 5 px wide"):
        field_of(np.zeros((4, 5, 1), np.uint8), np.ones((4, 6, 1), np.uint8))
    with pytest.raises(FlatFieldError, match="no brighter than dark"):
        field_of(np.full((4, 6, 1), 90, np.uint8), np.full((4, 6, 1), 20, np.uint8))

"""An uneven light and sensor give an even picture; the fast path computes what the plain one says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import web_settings
from agent.messages import Pixels
from agent.web.flatfield import FlatField, FlatFieldError, correct_plain, load


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


@pytest.mark.parametrize("shape", [(4, 63, 1), (4, 64, 3)])
def test_another_width_or_channel_count_is_one_clear_error(shape: tuple[int, int, int]) -> None:
    dark, white, _ = uneven(64, 1, seed=3)
    field = field_of(dark, white)
    with pytest.raises(
        FlatFieldError, match=r"flat field is 64 px wide with 1 channels, the camera gives .*remove"
    ):
        field.correct(np.zeros(shape, np.uint8))


def test_references_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(FlatFieldError, match="dark reference is 5 px wide"):
        FlatField.from_references(np.zeros((4, 5, 1), np.uint8), np.ones((4, 6, 1), np.uint8), 8.0)
    with pytest.raises(FlatFieldError, match="no brighter than the dark"):
        FlatField.from_references(np.full((4, 6, 1), 90, np.uint8), np.full((4, 6, 1), 20, np.uint8), 8.0)


def test_settings_name_the_files_and_no_white_means_no_correction(tmp_path: Path) -> None:
    assert load(web_settings.FlatField()) is None
    dark, white, _ = uneven(64, 1, seed=4)
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    cv2.imwrite(str(tmp_path / "white.png"), white)
    field = load(web_settings.FlatField(dark=tmp_path / "dark.png", white=tmp_path / "white.png"))
    assert field is not None
    assert np.array_equal(field.gain, field_of(dark, white).gain)


def test_a_missing_or_useless_reference_names_the_key_the_file_and_the_remedy(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(
        FlatFieldError, match=r"flat_field\.white .*gone\.png: cannot be read .*check the file"
    ):
        load(web_settings.FlatField(white=tmp_path / "gone.png"))
    with pytest.raises(
        FlatFieldError, match=r"flat_field\.white .*black\.png: white reference is no brighter"
    ):
        load(web_settings.FlatField(white=tmp_path / "black.png"))

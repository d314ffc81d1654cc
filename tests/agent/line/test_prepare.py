"""Tiles cover the frame, pixel for pixel where nothing is scaled; what is no picture is refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.bundle import InputSpec
from agent.clock import ManualClock
from agent.line.prepare import PrepareError, cut_tiles, prepare, scaled, with_channels
from agent.messages import Pixels
from tests.fakes import frame, spec


def noise(height: int, width: int, channels: int = 1, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 16))
def test_every_pixel_of_the_frame_is_in_a_tile_unchanged(height: int, width: int, overlap_px: int) -> None:
    image = noise(height, width)
    tiles, origins = cut_tiles(image, spec(overlap_px=overlap_px))
    assert tiles.shape[1:] == (32, 32, 1) and tiles.flags["C_CONTIGUOUS"]
    seen = np.zeros((height, width), np.bool_)
    for tile, (x, y) in zip(tiles, origins, strict=True):
        part = image[y : y + 32, x : x + 32]
        assert np.array_equal(tile[: part.shape[0], : part.shape[1]], part)
        seen[y : y + 32, x : x + 32] = True
    assert seen.all()


def test_a_prepared_frame_says_its_scale_its_size_and_when() -> None:
    clock = ManualClock()
    clock.advance(2)
    found = prepare(frame(0, noise(60, 100)), spec(scale=0.5), clock)
    assert (found.shape, found.scale, found.prepared_ns) == ((30, 50), 0.5, 2_000_000_000)
    assert found.origins == ((0, 0), (18, 0))
    assert found.tiles.shape == (2, 32, 32, 1)


def test_a_frame_at_the_models_scale_is_not_resampled() -> None:
    image = noise(40, 40)
    assert scaled(image, spec()) is image


@pytest.mark.parametrize("scale", [0.25, 0.9, 1.5, 4.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_scaling_keeps_channels_and_brightness(scale: float, channels: int) -> None:
    image = np.full((40, 60, channels), (10, 120, 250)[:channels], np.uint8)
    found = scaled(image, spec(scale=scale))
    assert found.shape == (round(40 * scale), round(60 * scale), channels)
    assert (found == image[0, 0]).all()


def test_a_frame_far_smaller_than_a_pixel_of_the_model_still_has_one() -> None:
    assert scaled(noise(3, 3), spec(scale=0.01)).shape == (1, 1, 1)


def test_mono_is_shown_as_rgb_and_rgb_as_mono() -> None:
    mono = noise(8, 8)
    assert np.array_equal(with_channels(mono, 3), np.concatenate([mono] * 3, axis=2))
    assert with_channels(mono, 1) is mono
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert with_channels(red, 1).shape == (2, 2, 1)
    assert (with_channels(red, 1) == 76).all()  # 0.299 of 255: the first channel is red, not blue
    assert with_channels(red, 3) is red


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 1), np.uint8),
        np.zeros((8, 0, 1), np.uint8),
        np.zeros((8, 8, 1), np.uint16),
        np.zeros((8, 8, 1), np.float32),
    ],
)
def test_what_is_no_picture_is_refused_with_its_shape_and_type(image: Pixels) -> None:
    with pytest.raises(PrepareError) as caught:
        prepare(frame(0, image), InputSpec(channels=1, tile_px=32, overlap_px=0, scale=1.0), ManualClock())
    assert str(image.shape) in str(caught.value) and str(image.dtype) in str(caught.value)

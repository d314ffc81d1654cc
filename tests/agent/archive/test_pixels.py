"""Pixels come back as they were, maps within what half precision can say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agent.archive import pixels
from tests.agent.archive.records import picture


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12), (np.uint16, 16)])
def test_a_picture_comes_back_bit_for_bit(channels: int, dtype: type, bits: int) -> None:
    image = picture((7, 11, channels), dtype=dtype, bits=bits)
    back = pixels.of_png(pixels.to_png(image))
    assert back.dtype == image.dtype and np.array_equal(back, image)


def test_one_pixel_and_pictures_that_lie_in_larger_ones_come_back_too() -> None:
    assert np.array_equal(pixels.of_png(pixels.to_png(picture((1, 1, 1)))), picture((1, 1, 1)))
    large = picture((50, 50, 3))
    cut = large[3:20:2, 5:30:3]
    assert np.array_equal(pixels.of_png(pixels.to_png(cut)), cut)


def test_any_viewer_sees_the_colours_right() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    seen = cv2.imdecode(np.frombuffer(pixels.to_png(red), np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None and seen[0, 0].tolist() == [0, 0, 255]  # OpenCV's order is blue, green, red


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 1), np.uint8),
        np.zeros((4, 4, 1), np.float32),
    ],
)
def test_what_is_no_picture_is_known_as_none(image: np.ndarray) -> None:
    assert not pixels.is_picture(image)


@given(
    arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    st.integers(-60, 60),
)
def test_a_map_of_any_scale_keeps_eleven_bits_of_its_strongest_values(shape: np.ndarray, power: int) -> None:
    evidence = np.ldexp(shape, power)
    halves, exponent = pixels.to_halves(evidence)
    back = pixels.of_halves(pixels.halves_of_png(pixels.halves_to_png(halves)), exponent)
    strongest = float(evidence.max())
    assert np.all(np.abs(back - evidence) <= np.maximum(evidence * 2.0**-11, strongest * 2.0**-24))


def test_what_is_no_number_stays_what_it_is() -> None:
    evidence = np.array([[np.nan, np.inf, -np.inf, 0.0, 3.0, -2.5]], np.float32)
    halves, exponent = pixels.to_halves(evidence)
    assert np.array_equal(pixels.of_halves(halves, exponent), evidence, equal_nan=True)
    for nothing in (np.zeros((2, 2), np.float32), np.full((2, 2), np.nan, np.float32)):
        assert pixels.to_halves(nothing)[1] == 0


@pytest.mark.parametrize("data", [b"", b"no picture", pixels.to_png(picture())[:50]])
def test_what_is_no_png_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        pixels.of_png(data)


def test_a_map_of_eight_bits_is_none() -> None:
    with pytest.raises(ValueError, match="not one of 16 bits"):
        pixels.halves_of_png(pixels.to_png(picture()))

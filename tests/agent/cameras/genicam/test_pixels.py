"""Every pixel format gives the values that were packed, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.genicam import pixels
from agent.cameras.genicam.pixels import FORMATS, Words
from tests.gige import pixels as sent

BY_NAME = {one.name: one for one in FORMATS.values()}
MONO = ["Mono8", "Mono10", "Mono12", "Mono10Packed", "Mono12Packed", "Mono10p", "Mono12p"]
PATTERNS = {"BayerRG8": "RGGB", "BayerGR8": "GRBG", "BayerGB8": "GBRG", "BayerBG8": "BGGR"}


def raw(seed: int, size: int) -> pixels.Pixels:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize("name", [*MONO, *PATTERNS, "RGB8"])
def test_codes_and_depths_are_those_of_the_standard(name: str) -> None:
    code, depth, bits, _ = sent.FORMATS[name]
    assert FORMATS[code].name == name
    assert (FORMATS[code].bit_depth, FORMATS[code].bits_per_pixel) == (depth, bits)


@pytest.mark.parametrize("name", MONO)
@given(seed=st.integers(0, 1 << 32), lines=st.integers(1, 9), groups=st.integers(1, 12))
def test_what_a_camera_packs_comes_out_again(name: str, seed: int, lines: int, groups: int) -> None:
    _, depth, _, pack = sent.FORMATS[name]
    grey = np.random.default_rng(seed).integers(0, 1 << depth, (lines, 4 * groups), np.uint16)
    packed = pack(grey)
    known = BY_NAME[name]
    assert known.size_bytes(*grey.shape) == packed.size
    image = known.decode(packed, *grey.shape)
    assert image.dtype == (np.uint8 if depth == 8 else np.uint16) and image.shape == (*grey.shape, 1)
    assert np.array_equal(image[..., 0], grey)


@pytest.mark.parametrize(
    ("unpack", "plain", "bits", "group"),
    [
        (pixels.unpack_10p, pixels.unpack_p_plain, 10, 5),
        (pixels.unpack_12p, pixels.unpack_p_plain, 12, 3),
        (pixels.unpack_10_packed, pixels.unpack_packed_plain, 10, 3),
        (pixels.unpack_12_packed, pixels.unpack_packed_plain, 12, 3),
    ],
)
@given(seed=st.integers(0, 1 << 32), groups=st.integers(1, 40))
def test_the_fast_unpackers_equal_their_plain_twins_on_any_bytes(
    unpack: Callable[[pixels.Pixels], Words],
    plain: Callable[[pixels.Pixels, int], list[int]],
    bits: int,
    group: int,
    seed: int,
    groups: int,
) -> None:
    data = raw(seed, groups * group)
    assert unpack(data).tolist() == plain(data, bits)


@pytest.mark.parametrize(("name", "width"), [("Mono12p", 5), ("Mono10p", 3), ("Mono12Packed", 7)])
def test_an_unfinished_last_group_loses_no_pixel(name: str, width: int) -> None:
    known = BY_NAME[name]
    data = raw(0, known.size_bytes(1, width))
    padded = known.decode(np.pad(data, (0, 10)), 1, width)
    assert np.array_equal(known.decode(data, 1, width), padded)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_bayer_pattern_of_one_colour_is_that_colour_all_over(name: str) -> None:
    colour = {"R": 200, "G": 90, "B": 30}
    tile = np.array([colour[letter] for letter in PATTERNS[name]], np.uint8).reshape(2, 2)
    image = BY_NAME[name].decode(np.tile(tile, (6, 8)).ravel(), 12, 16)
    assert image.shape == (12, 16, 3)
    assert (image == [200, 90, 30]).all()


def test_colour_channels_are_in_the_order_of_red_green_blue() -> None:
    data = np.array([10, 20, 30, 40, 50, 60], np.uint8)
    assert BY_NAME["RGB8"].decode(data, 1, 2).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert BY_NAME["BGR8"].decode(data, 1, 2).tolist() == [[[30, 20, 10], [60, 50, 40]]]

"""A crop shows the original's pixels around one defect and never weighs more than allowed."""

from __future__ import annotations

import hashlib
import itertools
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.images import from_opencv
from agent.line.crops import QUALITIES, Crop, cut_crops, encode, with_margin
from agent.messages import Box, Defect, Pixels
from agent.settings.settings import Crops

PNG = Crops(format="png", margin_px=0, max_bytes=10_000_000)


def noise(height: int, width: int, channels: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def decoded(data: bytes) -> Pixels:
    """The picture as the agent reads files: RGB or mono."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return from_opencv(np.asarray(picture, np.uint8))


def defect(box: Box, score: float = 1.0) -> Defect:
    x, y, width, height = box
    return Defect(score=score, bbox_px=box, area_px=width * height, centroid_px=(float(x), float(y)))


def cropped(image: Pixels, *boxes: Box, wanted: Crops = PNG) -> list[Crop]:
    count = itertools.count()
    return cut_crops(image, tuple(defect(box) for box in boxes), wanted, lambda: f"crop-{next(count)}")


@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.sampled_from([1, 3]),
    st.integers(2_000, 20_000),
    st.sampled_from(["jpeg", "png"]),
)
def test_no_crop_weighs_more_than_allowed_even_of_pure_noise(
    height: int, width: int, channels: int, max_bytes: int, format_: Literal["jpeg", "png"]
) -> None:
    wanted = Crops(max_bytes=max_bytes, format=format_)
    data, _ = encode(noise(height, width, channels), wanted)
    assert 0 < len(data) <= max_bytes
    assert decoded(data).shape[2] == channels


def test_a_shrunk_crop_still_shows_the_whole_cut() -> None:
    image = np.zeros((400, 400, 1), np.uint8)
    image[:, 200:] = noise(400, 200, 1)
    data, tries = encode(image, Crops(max_bytes=2_000))
    found = decoded(data)
    assert tries > len(QUALITIES)
    half = found.shape[1] // 2
    assert found.shape[0] == found.shape[1] < 400
    assert found[:, : half - 4].mean() < 10 < found[:, half + 4 :].mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_crop_holds_exactly_the_pixels_of_the_original(channels: int) -> None:
    image = noise(60, 80, channels)
    (crop,) = cropped(image, (10, 20, 30, 15))
    assert np.array_equal(decoded(crop.image), image[20:35, 10:40])


def test_red_stays_red() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[..., 0] = 250
    for format_ in ("png", "jpeg"):
        (crop,) = cropped(image, (0, 0, 40, 40), wanted=PNG.model_copy(update={"format": format_}))
        red, green, blue = decoded(crop.image).reshape(-1, 3).mean(axis=0)
        assert red > 230 and green < 20 and blue < 20


def test_cutting_leaves_the_frame_as_it_was() -> None:
    image = noise(300, 300, 3)
    before = image.copy()
    cropped(image, (0, 0, 300, 300), wanted=Crops(max_bytes=2_000))
    assert np.array_equal(image, before)


@given(
    st.integers(1, 500),
    st.integers(1, 500),
    st.integers(0, 1024),
    st.data(),
)
def test_a_margin_grows_the_box_and_stays_inside_the_frame(
    lines: int, width: int, margin_px: int, data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, lines - 1))
    box = (x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, lines - y)))
    left, top, wide, high = with_margin(box, margin_px, (lines, width))
    assert 0 <= left <= x and 0 <= top <= y
    assert x + box[2] <= left + wide <= width and y + box[3] <= top + high <= lines
    assert left in (0, x - margin_px) and top in (0, y - margin_px)
    assert left + wide in (width, x + box[2] + margin_px) and top + high in (lines, y + box[3] + margin_px)


def test_the_strongest_defects_get_crops_that_name_them() -> None:
    image = noise(100, 100, 1)
    boxes = [(10 * n, 10 * n, 5, 5) for n in range(5)]
    found = cropped(image, *boxes, wanted=Crops(max_per_verdict=3, margin_px=2))
    assert [(crop.crop_id, crop.defect_index) for crop in found] == [
        ("crop-0", 0),
        ("crop-1", 1),
        ("crop-2", 2),
    ]
    assert [crop.bbox_px for crop in found] == [(0, 0, 7, 7), (8, 8, 9, 9), (18, 18, 9, 9)]
    for crop in found:
        assert crop.sha256 == hashlib.sha256(crop.image).hexdigest()
        assert crop.content_type == "image/jpeg"
        assert decoded(crop.image).shape[:2] == (crop.bbox_px[3], crop.bbox_px[2])


def test_no_crops_are_made_where_none_are_wanted() -> None:
    assert cropped(noise(9, 9, 1), (0, 0, 5, 5), wanted=Crops(max_per_verdict=0)) == []
    assert cropped(noise(9, 9, 1)) == []


def test_a_crop_taller_than_jpeg_can_hold_is_shrunk() -> None:
    found = decoded(encode(np.full((65_536, 16, 1), 90, np.uint8), Crops(margin_px=0))[0])
    assert found.shape[0] < 65_500

"""A mask is read through any channel and refused where it cannot be the mask of a defect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agent.messages import Flags
from models.data.datasets import DataError, Item, check_pictures, read_mask

SHAPE = (64, 64)
TRUTH = np.zeros(SHAPE, np.uint8)
TRUTH[20:36, 24:44] = 1


def masked(path: Path, pixels: Any, *, defect: str = "scratch") -> Item:
    assert cv2.imwrite(str(path), pixels)
    return Item(image=path.with_name("image.png"), split="test", defect=defect, mask=path)


def marks(item: Item) -> Flags:
    found = read_mask(item, SHAPE)
    assert found is not None
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(level=st.integers(1, 255), channel=st.sampled_from([None, 0, 1, 2, "alpha", "opaque"]))
def test_one_level_in_any_channel_marks_the_same_pixels(tmp_path: Path, level: int, channel: Any) -> None:
    pixels = TRUTH * level
    if channel is not None:
        planes = [TRUTH * 0] * 4 if channel == "alpha" else [TRUTH * 0] * 3
        planes[{"alpha": 3, "opaque": 2}.get(channel, channel)] = pixels
        if channel == "opaque":
            planes.append(np.full(SHAPE, 255, np.uint8))
        pixels = np.dstack(planes)
    assert np.array_equal(marks(masked(tmp_path / "m.png", pixels)), TRUTH > 0)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 1, 0), (12, 200, 3)])
def test_a_palette_marks_what_is_not_black(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    picture = Image.fromarray(TRUTH, "P")
    picture.putpalette([0, 0, 0, *colour])
    picture.save(tmp_path / "m.png")
    item = Item(image=tmp_path / "i.png", split="test", defect="dent", mask=tmp_path / "m.png")
    assert np.array_equal(marks(item), TRUTH > 0)


@pytest.mark.parametrize("again", [False, True])
def test_a_lossy_mask_is_cut_in_the_middle_and_told(tmp_path: Path, again: bool) -> None:
    item = masked(tmp_path / "m.jpg", TRUTH * 255)
    if again:  # saved as PNG afterwards, when the harm was done
        item = masked(tmp_path / "m.png", cv2.GaussianBlur(TRUTH * 255, (9, 9), 0))
    assert np.array_equal(marks(item), TRUTH > 0) or again
    cv2.imwrite(str(item.image), TRUTH)
    assert check_pictures([item]) == [item.mask]


def test_a_lossy_mask_of_few_levels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="save the mask as PNG"):
        read_mask(masked(tmp_path / "m.jpg", TRUTH * 3), SHAPE)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        ((1 - TRUTH) * 255, "probably inverted"),
        (1 - TRUTH, "probably inverted"),
        (TRUTH * 0 + 255, "probably inverted"),
        (TRUTH * 0, "is empty"),
        (TRUTH[:32], "a mask of 64 x 32"),
    ],
)
def test_what_no_defect_looks_like_is_refused(tmp_path: Path, pixels: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_mask(masked(tmp_path / "m.png", pixels), SHAPE)


def test_a_good_part_has_no_marked_pixel(tmp_path: Path) -> None:
    assert not np.any(read_mask(masked(tmp_path / "e.png", TRUTH * 0, defect="good"), SHAPE))
    with pytest.raises(DataError, match="which is good"):
        read_mask(masked(tmp_path / "m.png", TRUTH, defect="good"), SHAPE)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    suffix=st.sampled_from([".png", ".jpg", ".tif", ".bmp"]), share=st.floats(0, 0.9), zeroed=st.booleans()
)
def test_a_mask_that_lost_its_end_is_refused_not_read_as_smaller(
    tmp_path: Path, suffix: str, share: float, zeroed: bool
) -> None:
    item = masked(tmp_path / f"m{suffix}", np.random.default_rng(0).integers(0, 2, SHAPE, np.uint8) * 255)
    assert item.mask is not None
    whole = item.mask.read_bytes()
    kept = whole[: int(share * len(whole))]
    item.mask.write_bytes(kept + bytes(len(whole) - len(kept)) if zeroed and suffix == ".png" else kept)
    with pytest.raises(DataError, match="replace or remove"):
        read_mask(item, SHAPE)


def test_a_mask_of_several_pages_or_of_fractions_is_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(TRUTH * 255), Image.fromarray(TRUTH * 0)]
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=pages[1:])
    item = Item(image=tmp_path / "i.png", split="test", defect="dent", mask=tmp_path / "m.tif")
    with pytest.raises(DataError, match="holds 2 pictures"):
        read_mask(item, SHAPE)
    with pytest.raises(DataError, match="8 or 16 bits"):
        read_mask(masked(tmp_path / "f.tif", TRUTH.astype(np.float32)), SHAPE)

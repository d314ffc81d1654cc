"""A heat map is the grey picture where there is no evidence, and never flatters the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.heatmap import heatmap
from agent.messages import Floats, Pixels


def grey(height: int = 40, width: int = 60, value: int = 120) -> Pixels:
    return np.full((height, width), value, np.uint8)


def flat(level: float, shape: tuple[int, int] = (10, 15)) -> Floats:
    return np.full(shape, level, np.float32)


def colourfulness(picture: Pixels) -> float:
    return float((picture.max(axis=2).astype(int) - picture.min(axis=2)).mean())


@given(level=st.floats(0, 0.5, width=32), threshold=st.floats(0.001, 1000))
def test_evidence_below_half_the_threshold_leaves_the_grey_picture(level: float, threshold: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (16, 24), np.uint8)
    picture = heatmap(image, flat(level * threshold * 0.99), threshold)
    assert np.array_equal(picture, np.repeat(image[:, :, None], 3, axis=2))


def test_more_evidence_is_more_colour_and_goes_from_yellow_to_red() -> None:
    pictures = [heatmap(grey(), flat(level), 1.0) for level in (0.6, 0.8, 1.2, 1.6, 2.0)]
    middles = [picture[20, 30].astype(int) for picture in pictures]
    assert sorted(map(colourfulness, pictures)) == list(map(colourfulness, pictures))
    greens = [middle[1] - middle[2] for middle in middles]
    assert greens[0] > 0, "yellow: green stands above blue"
    assert middles[-1][0] > 2 * middles[-1][1], "red: green is gone"


@given(scale=st.floats(0.01, 100))
def test_the_scale_is_relative_to_the_threshold_alone(scale: float) -> None:
    evidence = np.linspace(0, 3, 24, dtype=np.float32).reshape(4, 6)
    # Rounding in float32 may move a pixel by one level, and the contour with it.
    picture = heatmap(grey(), evidence * np.float32(scale), float(np.float32(scale)))
    assert np.abs(picture.astype(int) - heatmap(grey(), evidence, 1.0)).mean() < 1


def test_a_picture_is_not_stretched_to_its_own_range() -> None:
    quiet = np.zeros((10, 15), np.float32)
    quiet[5, 7] = 0.4
    loud = quiet.copy()
    loud[0, 0] = 50.0
    assert colourfulness(heatmap(grey(), quiet, 1.0)) == 0
    assert np.array_equal(heatmap(grey(), quiet, 1.0)[16:, 24:], heatmap(grey(), loud, 1.0)[16:, 24:])


def test_evidence_beyond_twice_the_threshold_and_no_number_show_at_full_scale() -> None:
    full = heatmap(grey(), flat(2.0), 1.0)
    for level in (7.0, np.inf, np.nan):
        assert np.array_equal(heatmap(grey(), flat(level), 1.0), full)


def test_a_contour_is_drawn_where_the_threshold_is_crossed() -> None:
    evidence = np.zeros((40, 60), np.float32)
    evidence[10:30, 20:40] = 1.2
    picture = heatmap(grey(), evidence, 1.0).astype(int)
    assert picture[10, 30].sum() < picture[20, 30].sum() / 2, "the edge is darker than the inside"
    assert picture[2, 2].tolist() == [120, 120, 120]


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3)])
def test_mono_and_colour_pictures_give_rgb_of_their_own_size(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    before = image.copy()
    picture = heatmap(image, flat(1.5, (7, 5)), 1.0)
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(image, before), "the picture that was judged is left alone"


@pytest.mark.parametrize(
    ("image", "evidence", "threshold", "says"),
    [
        (grey(), flat(1.0), 0.0, "threshold 0.0"),
        (grey(), flat(1.0), float("nan"), "threshold nan"),
        (grey(), np.zeros((1, 2, 3), np.float32), 1.0, r"shape \(1, 2, 3\)"),
        (grey().astype(np.float32), flat(1.0), 1.0, "float32"),
        (np.zeros((4, 4, 2), np.uint8), flat(1.0), 1.0, r"shape \(4, 4, 2\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_value(
    image: Pixels, evidence: Floats, threshold: float, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        heatmap(image, evidence, threshold)

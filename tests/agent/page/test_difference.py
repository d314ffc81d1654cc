"""What is said of a frame is true of its map and of how it differs from its restoration."""

from __future__ import annotations

import numpy as np
import pytest

from agent.messages import Floats, Pixels
from agent.page.difference import of_map, of_restoration
from agent.page.results import profile


def test_a_map_tells_its_strongest_spot_in_frame_pixels_and_what_is_above() -> None:
    evidence = np.full((10, 20), 0.2, np.float32)
    evidence[2, 15] = 1.6
    spot, above, rest = of_map(evidence, 1.0, (200, 100))
    assert spot == "The strongest spot, at x 155, y 25, has 1.60 times the threshold."
    assert above == "0.5 % of the picture is above it."
    assert rest.startswith("The rest looks like good parts")
    assert "20 % of the threshold" in rest


def test_a_foreign_picture_and_an_engine_that_failed_are_called_so() -> None:
    assert "looks foreign" in of_map(np.full((4, 4), 0.9, np.float32), 1.0, (4, 4))[2]
    broken = np.full((4, 4), np.nan, np.float32)
    assert "not a number" in of_map(broken, 1.0, (4, 4))[0]


def stripes(width_px: float) -> Floats:
    wave: Floats = (25 * np.sin(np.arange(128) * np.pi / width_px)).astype(np.float32)
    return np.tile(wave, (128, 1))


def changed(by: Floats | float) -> tuple[Pixels, Pixels]:
    restored = np.full((128, 128), 120, np.uint8)
    image = np.clip(restored + by, 0, 255).astype(np.uint8)
    return image[:, :, None], restored[:, :, None]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (stripes(3), "fine texture"),
        (stripes(8), "about 8 pixels"),
        (stripes(16), "about 16 pixels"),
        (-30.0, "brightness over a wider area, and is 30 grey values darker"),
        (25.0, "25 grey values brighter"),
    ],
)
def test_a_difference_is_called_by_the_scale_that_has_most_of_it(by: Floats | float, words: str) -> None:
    assert words in of_restoration(*changed(by), (32, 32, 64, 64))


def test_a_box_at_the_edge_of_the_picture_is_no_trouble() -> None:
    for box in ((0, 0, 4, 4), (124, 124, 4, 4), (0, 0, 128, 128)):
        assert "differs" in of_restoration(*changed(-20.0), box)


def test_a_profile_keeps_the_peak_however_few_points_it_has() -> None:
    evidence = np.zeros((50, 1000), np.float32)
    evidence[7, 777] = 2.0
    across = profile(evidence, 1.0, 0, 240)
    assert (len(across), max(across)) == (240, 200.0)
    assert profile(evidence, 1.0, 1, 240)[7] == 200.0

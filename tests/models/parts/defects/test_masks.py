"""Shapes are opacities between 0 and 1 that show something; Perlin noise is what its definition says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.parts.defects import masks
from models.parts.defects.anomalies import SHAPES, Shape
from models.parts.defects.masks import ONE_BLOB, gradient_noise, perlin


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_each_shape_gives_weights_between_0_and_1_and_nearly_always_some(shape: Shape) -> None:
    drawn = [shape(64, 80, np.random.default_rng(seed)) for seed in range(100)]
    assert all(weights.shape == (64, 80) and weights.dtype == np.float32 for weights in drawn)
    assert all(weights.min() >= 0 and weights.max() <= 1 + 1e-6 for weights in drawn)
    assert sum(weights.max() > 0.1 for weights in drawn) >= 90


@given(
    size=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    cells=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    seed=st.integers(0, 2**31),
)
def test_perlin_noise_is_the_faded_blend_of_corner_gradients(
    size: tuple[int, int], cells: tuple[int, int], seed: int
) -> None:
    """Pixel by pixel, as Perlin wrote it down."""
    noise = gradient_noise(*size, *cells, np.random.default_rng(seed))
    shape = (cells[0] + 1, cells[1] + 1)
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, shape).astype(np.float32)

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    for row in range(size[0]):
        for column in range(0, size[1], 5):
            y, x = (row + 0.5) * cells[0] / size[0], (column + 0.5) * cells[1] / size[1]
            i, j = int(y), int(x)
            corner = {
                (a, b): np.sin(angles[i + a, j + b]) * (y - i - a)
                + np.cos(angles[i + a, j + b]) * (x - j - b)
                for a in (0, 1)
                for b in (0, 1)
            }
            u, v = fade(y - i), fade(x - j)
            upper = corner[0, 0] * (1 - v) + corner[0, 1] * v
            lower = corner[1, 0] * (1 - v) + corner[1, 1] * v
            assert noise[row, column] == pytest.approx(2**0.5 * (upper * (1 - u) + lower * u), abs=1e-4)


@pytest.mark.slow
def test_most_perlin_masks_are_one_blob_and_some_are_many() -> None:
    drawn = [perlin(128, 128, np.random.default_rng(seed)) for seed in range(300)]
    blobs = [cv2.connectedComponents((weights > 0).astype(np.uint8))[0] - 1 for weights in drawn]
    one = np.mean([count == 1 for count in blobs])
    assert ONE_BLOB - 0.08 < one < 0.95
    assert max(blobs) > 5


def test_small_defects_dominate() -> None:
    shares = [(perlin(128, 128, np.random.default_rng(seed)) > 0.05).mean() for seed in range(300)]
    assert np.median(shares) < 0.05
    assert max(shares) > 0.2


def test_a_lattice_that_stays_below_the_level_still_gives_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "OCTAVES", 1)  # one cell: the noise is low and broad
    drawn = [perlin(64, 64, np.random.default_rng(seed)) for seed in range(100)]
    assert np.mean([weights.any() for weights in drawn]) > 0.95

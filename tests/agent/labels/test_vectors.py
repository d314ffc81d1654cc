"""A defect's vector is of its own cells, wherever in the frame it lies and however the frame was tiled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.labels.vectors import cut_around, vector_of
from agent.line.prepare import prepare
from agent.messages import Floats, Prepared
from tests.agent.labels.made import CHANNELS
from tests.fakes import STRIDE_PX, evidence_of, frame, good_picture, spec

GRID = 8


def prepared(height: int, width: int, spot: tuple[int, int, int, int]) -> tuple[Prepared, Floats]:
    """A dark frame with one bright spot x, y, width, height, in tiles; and its map."""
    picture = good_picture(height, width)
    x, y, wide, high = spot
    picture[y : y + high, x : x + wide] = 250
    ready = prepare(frame(0, picture), spec(), ManualClock())
    padded = np.pad(picture, ((0, -height % STRIDE_PX), (0, -width % STRIDE_PX), (0, 0)), mode="edge")
    return ready, evidence_of(padded)


@given(x=st.integers(0, 15), y=st.integers(0, 20))
def test_the_tile_holds_the_defect_and_the_weights_are_on_it(x: int, y: int) -> None:
    box = (x * 4, y * 4, 8, 4)
    ready, evidence = prepared(90, 70, box)
    (cut,) = cut_around(ready, evidence, 0.5, [box], stride_px=STRIDE_PX, grid=GRID)
    lit = (cut.tile[..., 0] == 250).reshape(GRID, 4, GRID, 4).mean(axis=(1, 3))
    assert lit.any() and np.allclose(cut.weights, lit)


def test_two_defects_have_a_tile_each() -> None:
    ready, evidence = prepared(90, 70, (4, 4, 8, 8))
    evidence[15, 12] = 0.9
    cuts = cut_around(ready, evidence, 0.5, [(4, 4, 8, 8), (48, 60, 4, 4)], stride_px=STRIDE_PX, grid=GRID)
    assert [round(float(cut.weights.sum())) for cut in cuts] == [4, 1]


def test_a_frame_smaller_than_a_tile_is_padded_and_still_has_its_weights() -> None:
    ready, evidence = prepared(12, 16, (4, 4, 4, 4))
    (cut,) = cut_around(ready, evidence, 0.5, [(4, 4, 4, 4)], stride_px=STRIDE_PX, grid=GRID)
    assert cut.tile.shape == (32, 32, 1) and cut.weights[1, 1] == 1 and cut.weights.sum() == 1


def test_a_large_defect_whose_middle_holds_none_of_it_counts_by_its_box() -> None:
    ready, evidence = prepared(128, 128, (0, 0, 4, 4))
    (cut,) = cut_around(ready, evidence, 0.5, [(0, 0, 128, 128)], stride_px=STRIDE_PX, grid=GRID)
    assert (cut.weights == 1).all()


def test_a_vector_is_two_directions_whatever_the_strength() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(CHANNELS + 3, GRID, GRID)).astype(np.float32)
    weights = np.zeros((GRID, GRID), np.float32)
    weights[2, 3] = 0.5
    found = vector_of(features, weights, CHANNELS)
    assert np.allclose(np.linalg.norm(found.reshape(2, -1), axis=1), 1)
    assert np.allclose(found[:CHANNELS], features[3:, 2, 3] / np.linalg.norm(features[3:, 2, 3]), atol=1e-6)
    assert np.allclose(found, vector_of(3 * features, weights, CHANNELS), atol=1e-6)


def test_features_without_any_contrast_give_a_vector_all_the_same() -> None:
    found = vector_of(
        np.ones((CHANNELS, GRID, GRID), np.float32), np.ones((GRID, GRID), np.float32), CHANNELS
    )
    assert np.isfinite(found).all() and np.linalg.norm(found) == pytest.approx(1)

"""The same good part on another day."""

from __future__ import annotations

import numpy as np

from models.parts.variation import EXPOSURES, at_another_exposure


def test_another_exposure_scales_a_part_and_clips_it_as_a_camera_does() -> None:
    tile = np.array([0, 100, 250], np.uint8).reshape(1, 3, 1)
    seen = np.array([at_another_exposure(tile, np.random.default_rng(seed)) for seed in range(200)])
    assert (seen[..., 0, 0] == 0).all()
    shares = seen[:, 0, 1, 0] / 100
    assert EXPOSURES[0] - 0.01 <= shares.min() < 0.7 and 1.4 < shares.max() <= EXPOSURES[1]
    assert seen.dtype == np.uint8
    assert (seen[:, 0, 2, 0][shares > 1.03] == 255).all()

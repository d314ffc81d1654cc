"""The same good part on another day."""

from __future__ import annotations

import numpy as np
import pytest

from models.parts.variation import EXPOSURES, at_another_exposure, relit


def test_another_exposure_scales_a_part_and_clips_it_as_a_camera_does() -> None:
    tile = np.array([0, 100, 250], np.uint8).reshape(1, 3, 1)
    seen = np.array([at_another_exposure(tile, np.random.default_rng(seed)) for seed in range(200)])
    assert (seen[..., 0, 0] == 0).all()
    shares = seen[:, 0, 1, 0] / 100
    assert EXPOSURES[0] - 0.01 <= shares.min() < 0.7 and 1.4 < shares.max() <= EXPOSURES[1]
    assert seen.dtype == np.uint8
    assert (seen[:, 0, 2, 0][shares > 1.03] == 255).all()


class Grain:
    """Draws that change nothing but the grain, by `gain`."""

    def __init__(self, gain: float) -> None:
        self.uniforms = iter([1.0, 1.0, 0.0, gain])  # gamma, contrast, brightness, grain
        self.randoms = iter([0.0, 0.0, 1.0, 1.0, 1.0])  # grain, its width; no lamp, focus, noise

    def uniform(self, *_: float) -> float:
        return next(self.uniforms)

    def random(self) -> float:
        return next(self.randoms)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_grain_is_weaker_or_stronger_around_the_same_brightness(channels: int) -> None:
    grain = np.random.default_rng(0).normal(0, 10, (64, 64, channels))
    tile = np.clip(120 + grain, 0, 255).astype(np.uint8)
    for gain in (0.5, 1.8):
        seen = relit(tile, Grain(gain))  # type: ignore[arg-type]
        assert seen.shape == tile.shape and seen.dtype == np.uint8
        assert seen.std() == pytest.approx(gain * tile.std(), rel=0.1)
        assert seen.mean() == pytest.approx(tile.mean(), abs=1)

"""Light that drifts is told, wherever across the web; noise and a change that goes away are not."""

from __future__ import annotations

import numpy as np
import pytest

from agent.drift.light import LEARNED, Light, levels
from agent.messages import Samples


def window(level: float, *, last: float = 1.0, seed: int = 0) -> Samples:
    """An even product whose last quarter is `last` times as bright."""
    rows = np.random.default_rng(seed).normal(level, 8, (40, 200, 1))
    rows[:, 150:] *= last
    return np.clip(np.rint(rows), 0, 255).astype(np.uint8)


def seen(*more: Samples) -> Light:
    light = Light("top")
    for seed in range(LEARNED):
        light.see(window(100, seed=seed), "default")
    for one in more:
        light.see(one, "default")
    return light


def test_levels_are_the_means_of_bands_at_any_width_and_depth() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint16)[:, np.newaxis] * 1000, (5, 1, 3))
    assert levels(ramp).tolist() == [1500 + 4000 * band for band in range(16)]
    assert levels(np.full((4, 3, 1), 7, np.uint8))[:3].tolist() == [7, 7, 7]


@pytest.mark.parametrize("last", [0.8, 1.25])
def test_a_lamp_that_changes_at_one_side_is_told_with_its_place(last: float) -> None:
    words = seen(*[window(100, last=last, seed=n) for n in range(100)]).words()
    assert words is not None and "camera top" in words and "since the start" in words
    place = int(words.split(" across")[0].split()[-1].rstrip("%"))
    assert place > 75


def test_noise_and_a_single_window_are_no_drift() -> None:
    assert seen(*[window(100, seed=500 + n) for n in range(100)]).words() is None
    assert seen(window(100, last=0.3)).words() is None


def test_a_warning_ends_when_the_light_is_back() -> None:
    changed = [window(100, last=0.8, seed=n) for n in range(100)]
    assert seen(*changed).words() is not None
    assert seen(*changed, *[window(100, seed=n) for n in range(150)]).words() is None


def test_each_recipe_has_its_own_light_and_one_that_is_gone_is_forgotten() -> None:
    light = Light("top")
    for number in range(LEARNED + 40):
        light.see(window(60, seed=number), "dark")
        light.see(window(160, seed=number), "bright")
    assert light.words() is None
    for number in range(100):
        light.see(window(90, seed=number), "dark")
    assert "Light of camera top" in (light.words() or "")
    light.keep({"bright"})
    assert light.words() is None

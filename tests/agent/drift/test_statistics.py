"""Each number of a frame answers to its own change, at any size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from agent.drift.statistics import GROUPS, NAMES, measure
from agent.messages import Inspection, Pixels


def textured(shape: tuple[int, int, int]) -> Pixels:
    return np.asarray(np.random.default_rng(3).integers(60, 180, shape), np.uint8)


def inspected(restored: Pixels | None = None) -> Inspection:
    return Inspection(
        scores=np.ones(1, np.float32),
        evidence=np.full((8, 8), 0.1, np.float32),
        restored=restored,
        started_ns=0,
        finished_ns=1,
    )


def numbers(picture: Pixels, restored: Pixels | None = None) -> dict[str, float]:
    row = measure(picture, inspected(restored), score=0.5)
    return dict(zip(NAMES, map(float, row), strict=True))


@pytest.mark.parametrize("shape", [(300, 300, 1), (64, 2000, 3), (1024, 4096, 1)])
def test_brightness_and_contrast_are_percentiles_of_grey_values(shape: tuple[int, int, int]) -> None:
    found = numbers(textured(shape))
    assert found["brightness"] == pytest.approx(119.5, abs=3)
    assert found["contrast"] == pytest.approx(108, abs=4)
    assert found["shading"] == pytest.approx(0, abs=0.05)
    assert found["score"] == pytest.approx(np.log(0.5))
    assert found["evidence"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        (lambda one: one // 2, {"brightness", "contrast"}),
        (lambda one: one + 40, {"brightness"}),
        (lambda one: cv2.GaussianBlur(one, (0, 0), 2.0)[..., None], {"contrast", "sharpness"}),
        (lambda one: np.hstack([one[:, :150], one[:, 150:] // 2]), {"brightness", "contrast", "shading"}),
    ],
    ids=["gain", "offset", "blur", "one side"],
)
def test_a_change_moves_its_own_numbers(change: Callable[[Pixels], Pixels], moved: set[str]) -> None:
    before = numbers(textured((300, 300, 1)))
    after = numbers(np.asarray(change(textured((300, 300, 1))), np.uint8))
    off = {
        name
        for name, group in GROUPS.items()
        if (
            group in ("light", "input")
            and abs(after[name] - before[name]) > 0.1 * max(abs(before[name]), 1.0)
        )
        or (name == "sharpness" and abs(after[name] / before[name] - 1) > 0.2)
    }
    assert moved <= off


def test_a_restoration_of_another_size_is_compared_place_by_place() -> None:
    picture = np.full((200, 300, 1), 90, np.uint8)
    assert numbers(picture, np.full((100, 150, 1), 97, np.uint8))["restoration"] == 7
    assert numbers(picture, picture)["restoration"] == 0
    assert np.isnan(numbers(picture)["restoration"])

"""Pictures of something else are told; defects, however many, are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.taught import REMEMBERED, Taught
from agent.messages import Floats

THRESHOLD = 3.0


def evidence(level: float, defect_share: float = 0.0) -> Floats:
    """A map at a share of the threshold, with so much of it ten times over."""
    found = np.full((20, 20), level * THRESHOLD, np.float32)
    found.ravel()[: round(400 * defect_share)] = 10 * THRESHOLD
    return found


@given(st.lists(st.tuples(st.floats(0, 0.75), st.floats(0, 0.45)), max_size=50), st.floats(1e-3, 1e3))
def test_defects_are_not_told_as_another_product(frames: list[tuple[float, float]], factor: float) -> None:
    taught = Taught("Camera top", bundle="cells")
    for level, share in frames:
        taught.see(evidence(level, share) * np.float32(factor), THRESHOLD * factor)
        assert taught.words() is None


@pytest.mark.parametrize("level", [0.85, 1.0, 5.0])
def test_another_product_is_told_once_there_are_enough_frames_and_until_it_is_gone(level: float) -> None:
    taught = Taught("Camera top", bundle="cells", at_least=8)
    for number in range(1, 20):
        taught.see(evidence(level), THRESHOLD)
        assert (taught.words() is not None) == (number >= 8)
    words = taught.words()
    assert words is not None and words.startswith("Camera top: this is not what the bundle cells was taught")
    for _ in range(REMEMBERED):
        taught.see(evidence(0.2), THRESHOLD)
    assert taught.words() is None


def test_a_map_without_numbers_says_nothing() -> None:
    taught = Taught("x", bundle="cells", at_least=1)
    taught.see(np.full((4, 4), np.nan, np.float32), THRESHOLD)
    assert taught.words() is None

"""A threshold rejects as many good parts as it was asked to, and says how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.bundle import Threshold
from agent.errors import PlumblineError
from agent.messages import Floats
from models.data.threshold import calibrate, frames_needed, promised


def scores(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).gamma(2.0, 1.0, count).astype(np.float32)


def rejected(good: Floats, threshold: float) -> float:
    """As the device judges: at or above the threshold, in float32."""
    return float((good >= np.float32(threshold)).mean())


@pytest.mark.parametrize(("count", "target"), [(120, 0.05), (39, 0.1), (3, 0.3)])
def test_the_expected_false_reject_rate_is_at_the_target(count: int, target: float) -> None:
    fresh = scores(20_000, seed=1)
    found = [calibrate(scores(count, seed), target=target, source="test").raw for seed in range(100, 400)]
    rates = [rejected(fresh, threshold) for threshold in found]
    step = 1 / (count + 1)  # ranks are whole, so the rate is at most one rank below the target
    error = 4 * np.std(rates) / np.sqrt(len(rates))
    assert target - step - error <= np.mean(rates) <= target + error


@given(count=st.integers(20, 200), seed=st.integers(0, 1000), target=st.floats(0.05, 0.4))
def test_the_interval_holds_the_threshold(count: int, seed: int, target: float) -> None:
    found = calibrate(scores(count, seed), target=target, source="test")
    assert found.interval[0] <= found.raw <= found.interval[1]


@given(seed=st.integers(0, 1000), target=st.floats(0.05, 0.4), levels=st.integers(1, 5))
def test_the_frame_that_sets_the_threshold_passes_even_in_a_tie(
    seed: int, target: float, levels: int
) -> None:
    tied = np.random.default_rng(seed).integers(1, levels + 1, 60).astype(np.float32)
    found = calibrate(tied, target=target, source="test")
    assert rejected(tied, found.raw) <= target
    assert (
        np.float32(found.raw) == np.float32(np.nextafter(np.float32(found.raw), np.float32(0)))
        or found.raw > 0
    )
    assert np.float32(found.raw) not in tied


def test_the_threshold_is_the_next_number_after_its_frame() -> None:
    ordered = np.arange(1, 21, dtype=np.float32)
    found = calibrate(ordered, target=0.05, source="test")
    assert found.raw == float(np.nextafter(np.float32(20), np.float32(np.inf)))
    assert (found.good_frames, found.target_false_reject_rate, found.source) == (20, 0.05, "test")


@pytest.mark.parametrize(
    ("count", "target", "needed"), [(18, 0.05, 19), (0, 0.05, 19), (98, 0.01, 99), (1, 0.3, 3)]
)
def test_too_few_frames_make_a_provisional_threshold_that_says_what_it_keeps(
    count: int, target: float, needed: int
) -> None:
    assert frames_needed(target) == needed
    assert calibrate(scores(needed), target=target, source="test").provisional_rate is None
    if count == 0:
        with pytest.raises(PlumblineError, match=rf"no good frames .* at least {needed}"):
            calibrate(scores(count), target=target, source="test")
        return
    few = calibrate(scores(count), target=target, source="test")
    assert few.raw > scores(count).max()
    assert few.provisional_rate == promised(count) > target


@given(count=st.integers(1, 30), target=st.floats(0.01, 0.5))
def test_a_manifest_names_the_provisional_rate_only_where_there_is_one(count: int, target: float) -> None:
    found = calibrate(scores(count), target=target, source="test")
    content = found.model_dump(mode="json")
    assert ("provisional_rate" in content) == (count < frames_needed(target))
    assert Threshold.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("count", [2, 6])
def test_a_provisional_threshold_keeps_the_rate_that_it_names(count: int) -> None:
    fresh = scores(20_000, seed=1)
    found = [calibrate(scores(count, seed), target=0.05, source="test") for seed in range(100, 700)]
    rates = [rejected(fresh, one.raw) for one in found]
    assert np.mean(rates) == pytest.approx(promised(count), abs=4 * np.std(rates) / np.sqrt(len(rates)))


def test_the_same_scores_give_the_same_threshold_and_interval() -> None:
    assert calibrate(scores(50), target=0.1, source="test") == calibrate(
        scores(50), target=0.1, source="test"
    )

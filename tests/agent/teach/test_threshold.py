"""The threshold for a target rate, what it promises, and how many parts that takes."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.teach.threshold import (
    Scored,
    ThresholdError,
    askable,
    independent,
    needed,
    promise,
    share,
    wilson,
    words,
)
from models.data import threshold as workshop


def parts(count: int, seed: int = 0, **seen: str) -> list[Scored]:
    scores = np.random.default_rng(seed).gamma(2, 0.01, count).astype(np.float32)
    return [Scored(score=float(one), **seen) for one in scores]


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("count", [1, 20, 99, 1000])
def test_it_is_the_one_that_the_workshop_would_calibrate(count: int, rate: float) -> None:
    good = parts(count, seed=count)
    scores = np.array([one.score for one in good], np.float32)
    here, there = promise(good, rate), workshop.calibrate(scores, target=rate, source="x")
    assert here.threshold == pytest.approx(there.raw, rel=1e-6)
    assert here.is_promised == (there.provisional_rate is None)
    assert here.rate == pytest.approx(there.provisional_rate or rate)
    assert here.interval[0] <= here.threshold and here.interval[1] >= here.interval[0]


@pytest.mark.parametrize("target", [0.02, 0.1])
def test_the_promised_rate_is_kept_on_the_average(target: float) -> None:
    rng, rejected = np.random.default_rng(7), []
    for _ in range(150):
        scores = rng.gamma(2, 1, 99)
        found = promise([Scored(score=float(one)) for one in scores], target)
        rejected.append(np.exp(-found.threshold) * (1 + found.threshold))  # of gamma(2, 1), exactly
    assert np.mean(rejected) == pytest.approx(target, rel=0.2)


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=12), seed=st.integers(0, 2**31))
def test_a_rate_that_is_said_to_be_possible_is_promised_when_it_is_asked_for(
    counts: list[int], seed: int
) -> None:
    """Also by parts of several minutes, which are worth a fraction of one, and as people type it."""
    rng = np.random.default_rng(seed)
    some = [
        Scored(score=float(level + rng.gamma(2, 0.1)), minute=str(minute))
        for minute, count in enumerate(counts)
        for level in [rng.gamma(2, 1.0)]
        for _ in range(count)
    ]
    few = promise(some, 0.001)
    assert not few.is_promised
    for asked in (few.rate, askable(few.rate), float(f"{askable(few.rate):.4f}")):
        found = promise(some, min(0.5, asked))
        assert found.is_promised and found.missing == 0
    assert f"only {askable(few.rate):.2%}" in " ".join(words(few))
    assert few.rate <= askable(few.rate) < few.rate + 1.01e-4


def test_how_many_more_parts_the_target_takes_is_said_and_true() -> None:
    found = promise(parts(60), 0.005)
    assert not found.is_promised and found.missing == 199 - 60 and found.needed == 199
    assert found.rate == pytest.approx(1 / 61)
    assert any("cannot be promised" in line and "139 more" in line for line in words(found))
    assert promise(parts(60 + found.missing), 0.005).is_promised
    assert words(promise(parts(1), 0.05))[0].endswith("from 1 good part")
    assert found.needed_sure == 598 and 0.995**598 < 0.05 < 0.995**597


def test_frames_of_one_minute_are_worth_less_than_frames_of_many() -> None:
    rng = np.random.default_rng(0)
    alike, apart = [], []
    for minute in range(20):
        for one in rng.normal(10 + rng.normal(0, 1), 0.1, 25):
            alike.append(Scored(score=float(one), minute=str(minute)))
            apart.append(Scored(score=float(rng.normal(10, 1)), minute=str(minute)))
    assert independent(alike) < 25, "twenty minutes, each with a level of its own"
    assert independent(apart) > 400
    found = promise(alike, 0.005)
    assert not found.is_promised and found.threshold > max(one.score for one in alike)
    assert any("parts of one minute are alike" in line for line in words(found))
    assert promise(apart, 0.005).is_promised


def test_of_parts_of_a_single_minute_nobody_knows_what_the_next_brings() -> None:
    found = promise([Scored(score=one.score, minute="12:00") for one in parts(500)], 0.005)
    assert found.rate == 0.5 and not found.is_promised


def test_a_camera_that_scores_higher_makes_no_minute_alike() -> None:
    rng = np.random.default_rng(1)
    good = [
        Scored(score=float(rng.normal(level, 1)), camera=camera, minute=str(minute))
        for camera, level in (("top", 10), ("side", 30))
        for minute in range(20)
        for _ in range(10)
    ]
    assert independent(good) > 300


def test_each_group_has_its_share_and_one_that_is_out_of_line_is_named() -> None:
    good = parts(400, light="as usual")
    good += [Scored(score=one.score + 0.2, light="brighter") for one in parts(40, seed=1)]
    found = promise(good, 0.05)
    usual, brighter = found.groups
    assert (usual.light, usual.share.rejected) == ("as usual", 0)
    assert brighter.share.rejected > 15 and brighter.share.interval[0] > 0.05
    assert any(line.startswith("brighter: ") and "threshold of its own" in line for line in words(found))


def test_known_values_of_the_wilson_interval() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    known = [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]
    for hit, count, low, high in known:
        assert wilson(hit / count, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("target", [0.0, -0.1, 0.51, math.nan, math.inf])
def test_a_target_that_nobody_can_promise_is_refused_in_plain_words(target: float) -> None:
    with pytest.raises(ThresholdError, match="cannot be promised by any number of good parts"):
        promise(parts(20), target)


def test_no_part_and_no_number_are_refused() -> None:
    with pytest.raises(ThresholdError, match="no good part; give at least 199"):
        promise([], 0.005)
    with pytest.raises(ThresholdError, match="none of 2 good parts has a score that is a number"):
        promise([Scored(score=math.nan), Scored(score=math.inf)], 0.005)
    with pytest.raises(ThresholdError, match="the bundle sees nothing"):
        promise([Scored(score=0.0)] * 50, 0.1)


def test_a_score_that_is_no_number_is_left_out_and_said() -> None:
    found = promise([*parts(300), Scored(score=math.nan)], 0.01)
    assert found.left_out == 1 and found.share.frames == 300
    assert any("1 scores are no numbers" in line for line in words(found))


def test_one_part_sets_a_threshold_that_promises_one_in_two() -> None:
    found = promise(parts(1), 0.005)
    assert found.rate == 0.5 and found.missing == 198 and found.share.rejected == 0


def test_ties_pass_and_are_said() -> None:
    found = promise([Scored(score=0.5)] * 300, 0.01)
    assert found.share.rejected == 0 and found.threshold > 0.5
    assert found.tail.threshold is None
    assert any("one and the same value" in line for line in words(found))


def test_the_share_is_compared_as_the_judge_does() -> None:
    at = float(np.float32(0.1))
    assert share([Scored(score=at), Scored(score=0.05)], at).rejected == 1


def test_the_second_opinion_stands_beside_it() -> None:
    found = promise(parts(2000), 0.005)
    assert found.tail.interval is not None
    assert found.tail.interval[0] < found.threshold < found.tail.interval[1]
    assert any("it agrees" in line for line in words(found))
    assert any("no second opinion" in line for line in words(promise(parts(20), 0.005)))


def test_500_parts_take_a_fraction_of_the_five_seconds() -> None:
    good = [Scored(score=one.score, minute=str(index // 10)) for index, one in enumerate(parts(500))]
    began = time.monotonic()
    promise(good, 0.005)
    assert time.monotonic() - began < 5


def test_what_is_needed_is_the_smallest_number_that_promises() -> None:
    for target in (0.5, 0.05, 0.005, 0.001):
        count = needed(target)
        assert promise(parts(count), target).is_promised
        assert count == 1 or not promise(parts(count - 1), target).is_promised

"""Two models on the same pictures: AUROC as everywhere, and an interval that knows what chance does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Flags, Floats
from models.judging.metrics import auroc
from models.judging.paired import paired

SEEDS = st.integers(0, 2**31)


def scores(good: int, bad: int, apart: float, seed: int) -> tuple[Flags, Floats]:
    rng = np.random.default_rng(seed)
    labels = np.arange(good + bad) >= good
    return labels, (rng.normal(0, 1, good + bad) + apart * labels).astype(np.float32)


@given(seed=SEEDS)
def test_both_rank_as_the_figures_say(seed: int) -> None:
    labels, one = scores(30, 20, 1.0, seed)
    _, other = scores(30, 20, 0.0, seed + 1)
    other = np.round(other)  # with ties
    found = paired(labels, one, other)
    assert found.one == pytest.approx(auroc(labels, one), abs=1e-6)
    assert found.other == pytest.approx(auroc(labels, other), abs=1e-6)
    assert found.low <= found.high


@given(seed=SEEDS)
def test_the_other_way_round_is_the_same_mirrored(seed: int) -> None:
    labels, one = scores(30, 20, 1.0, seed)
    _, other = scores(30, 20, 0.5, seed + 1)
    there, back = paired(labels, one, other), paired(labels, other, one)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)


def test_a_model_beside_itself_differs_by_nothing() -> None:
    labels, one = scores(40, 40, 1.0, 0)
    found = paired(labels, one, one * 2 + 1)
    assert found.low == found.high == 0


@given(seed=SEEDS)
def test_of_several_runs_the_mean_counts(seed: int) -> None:
    labels, first = scores(30, 20, 1.0, seed)
    _, second = scores(30, 20, 0.2, seed + 1)
    found = paired(labels, np.stack([first, second]), np.stack([first, first]))
    assert found.one == pytest.approx((auroc(labels, first) + auroc(labels, second)) / 2, abs=1e-6)
    assert found.other == pytest.approx(auroc(labels, first), abs=1e-6)


def test_a_clear_difference_is_told_from_chance_and_a_small_one_is_not() -> None:
    labels, good = scores(100, 100, 3.0, 0)
    _, poor = scores(100, 100, 0.3, 1)
    assert paired(labels, good, poor).low > 0.1
    _, alike = scores(100, 100, 3.0, 2)
    found = paired(labels, good, alike)
    assert found.low < 0 < found.high


def test_drawn_in_pairs_the_interval_is_narrower_than_of_two_sets_of_pictures() -> None:
    """Two models that see nearly the same are compared far more sharply than either is measured."""
    labels, one = scores(100, 100, 1.0, 0)
    rng = np.random.default_rng(1)
    near = (one + rng.normal(0, 0.05, len(one))).astype(np.float32)
    found = paired(labels, one, near)
    _, strange = scores(100, 100, 1.0, 5)
    apart = paired(labels, one, strange)
    assert found.high - found.low < 0.3 * (apart.high - apart.low)


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Of two models that are equally good it leaves out no difference in about 95 of 100 tries."""
    missed = 0
    for seed in range(200):
        labels, one = scores(60, 60, 1.0, 2 * seed)
        _, other = scores(60, 60, 1.0, 2 * seed + 1)
        found = paired(labels, one, other, seed)
        missed += not found.low <= 0 <= found.high
    assert missed <= 22  # 5 % of 200 and three deviations


@pytest.mark.parametrize("label", [False, True])
def test_pictures_of_one_kind_cannot_rank_anything(label: bool) -> None:
    with pytest.raises(ValueError, match="good and defective pictures are needed"):
        paired(np.full(4, label), np.zeros(4, np.float32), np.zeros(4, np.float32))

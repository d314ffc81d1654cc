"""The tail of the scores: fitted to known distributions, and refused where it has no ground."""

from __future__ import annotations

import numpy as np
import pytest

from agent.messages import Floats
from agent.teach.tail import Doubles, anderson_darling, fit, quantile, tail_quantile


def pareto(shape: float, count: int, seed: int = 0) -> Doubles:
    return np.asarray(np.sort(quantile(np.random.default_rng(seed).random(count), shape, 2.0)))


@pytest.mark.parametrize("shape", [-0.4, -0.2, 0.0, 0.2, 0.4])
def test_the_fit_finds_the_shape_and_scale_that_made_the_excesses(shape: float) -> None:
    found = np.array([fit(pareto(shape, 1000, seed)) for seed in range(20)])
    assert found.mean(axis=0) == pytest.approx([shape, 2.0], abs=0.06)


def test_the_fit_is_the_most_likely_one_but_for_a_weak_prior() -> None:
    """Of these numbers scipy.stats.genpareto.fit(x, floc=0) makes 0.2478650 and 1.9933737 (scipy 1.17.1)."""
    stats = pytest.importorskip("scipy.stats")
    excesses = np.sort(stats.genpareto.rvs(0.3, scale=2, size=500, random_state=3))
    assert fit(excesses) == pytest.approx((0.2478650, 1.9933737), abs=0.015)


def test_quantiles_of_known_distributions() -> None:
    beyond = np.array([0.5, 0.01])
    assert quantile(beyond, 0.0, 3.0) == pytest.approx(-3 * np.log(beyond)), "exponential"
    assert quantile(beyond, -1.0, 3.0) == pytest.approx(3 * (1 - beyond)), "uniform"
    assert quantile(beyond, 1.0, 1.0) == pytest.approx(1 / beyond - 1), "Lomax"


def test_the_distance_of_known_excesses() -> None:
    """By the textbook's sum, of three uniform numbers at the middle of their thirds."""
    levels = np.array([1 / 6, 1 / 2, 5 / 6])
    terms = [(2 * i + 1) * (np.log(levels[i]) + np.log(1 - levels[2 - i])) for i in range(3)]
    assert anderson_darling(levels, -1.0, 1.0) == pytest.approx(-3 - sum(terms) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_a_rate_that_was_hardly_seen(seed: int) -> None:
    scores = np.random.default_rng(seed).exponential(1.0, 2000).astype(np.float32)
    found = tail_quantile(scores, 0.0005)
    assert found.threshold is not None and found.interval is not None
    assert found.interval[0] < -np.log(0.0005) < found.interval[1]


@pytest.mark.parametrize(
    ("scores", "rate", "why"),
    [
        (np.arange(1, 11), 0.01, "lie far out"),
        (np.arange(0), 0.01, "lie far out"),
        (np.ones(1000), 0.01, "same value"),
        (np.repeat(np.arange(1, 101), 10), 0.01, "same value"),
        (np.random.default_rng(0).pareto(0.8, 2000), 0.01, "no tail that ends"),
        (
            np.concatenate([np.linspace(0, 1, 1800), np.linspace(1, 1.5, 100), np.linspace(3, 3.5, 100)]),
            0.01,
            "one kind",
        ),
        (np.random.default_rng(0).gamma(2, 1, 500), 0.2, "no tail"),
        (np.random.default_rng(0).gamma(2, 1, 500), 0.0001, "as rare"),
    ],
)
def test_it_refuses_where_it_has_no_ground(scores: Floats, rate: float, why: str) -> None:
    found = tail_quantile(scores.astype(np.float32), rate)
    assert found.threshold is None and why in found.why


def test_frames_that_are_alike_are_less_ground() -> None:
    scores = np.random.default_rng(0).gamma(2, 1, 500).astype(np.float32)
    assert tail_quantile(scores, 0.01).threshold is not None
    assert "lie far out" in tail_quantile(scores, 0.01, worth=200).why

"""A quantile far out from the tail of the scores: a generalised Pareto distribution over a high score. Pure.

Over a score that one in ten exceeds, excesses of independent scores go to a generalised Pareto distribution
(Pickands, Balkema, de Haan); it is fitted as Zhang and Stephens (2009) do. It refuses where it has no ground:
too few excesses, ties, a shape whose mean says nothing, a fit that the excesses contradict, or a rate so far
out that it would be guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from agent.messages import Floats

Doubles: TypeAlias = npt.NDArray[np.float64]

SHARE = 0.1  # of the scores are excesses
FEWEST = 40  # excesses; below, the shape is anybody's guess
HEAVIEST = 0.5  # shape: beyond, not even the variance exists, and one more part moves everything
FARTHEST = 5.0  # times as rare as one part in all that were seen
TIED = 0.2  # of the excesses: rounding, or one part several times
CRITICAL = 1.3  # of Anderson-Darling: 1 in 100 true tails is above, of 40 to 400 excesses, shape -0.4 to 0.4
RESAMPLES = 200
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Its quantile with a 95 % interval; without ground None, and `why`."""

    threshold: float | None = None
    interval: tuple[float, float] | None = None
    shape: float | None = None
    scale: float | None = None
    over: float | None = None  # the score over which excesses begin
    excesses: int = 0
    why: str = ""


def tail_quantile(scores: Floats, rate: float, *, worth: float | None = None) -> Tail:
    """The score that a share `rate` exceeds; `worth` is how many independent ones the scores are."""
    count = len(scores)
    shrunk = 1.0 if worth is None else worth / count
    ordered = np.sort(scores).astype(np.float64)
    first = count - math.floor(SHARE * count)
    excesses = ordered[first:] - ordered[first - 1] if 0 < first < count else ordered[:0]
    number = int(len(excesses) * shrunk)
    if number < FEWEST:
        return _none(f"{number} independent scores lie far out, and it takes {FEWEST}", excesses)
    if rate >= SHARE:
        return _none(f"a rate of {rate:g} is no tail: it begins below {SHARE:g}", excesses)
    if rate * count * shrunk < 1 / FARTHEST:
        return _none(f"a rate of {rate:g} is more than {FARTHEST:g} times as rare as what was seen", excesses)
    if len(np.unique(excesses)) < (1 - TIED) * len(excesses) or excesses[0] < 0 or not excesses[-1] > 0:
        return _none("too many of the scores far out are one and the same value", excesses)
    excesses = np.maximum(excesses, np.finfo(np.float32).tiny)
    shape, scale = fit(excesses)
    if shape > HEAVIEST:
        return _none(f"the scores have no tail that ends (shape {shape:.2f})", excesses)
    if (distance := anderson_darling(excesses, shape, scale)) > CRITICAL:
        return _none(f"the scores far out are of no one kind (Anderson-Darling {distance:.2f})", excesses)
    over, beyond = float(ordered[first - 1]), rate * count / len(excesses)
    rng = np.random.default_rng(SEED)
    drawn = np.empty(RESAMPLES)
    for index in range(RESAMPLES):  # as many as they are worth
        again = quantile(rng.random(number), shape, scale)
        drawn[index] = quantile(np.array([beyond]), *fit(np.sort(again)))[0]
    low, high = np.quantile(over + drawn, [0.025, 0.975])
    return Tail(
        threshold=over + float(quantile(np.array([beyond]), shape, scale)[0]),
        interval=(float(low), float(high)),
        shape=shape,
        scale=scale,
        over=over,
        excesses=len(excesses),
    )


def fit(excesses: Doubles) -> tuple[float, float]:
    """Shape and scale of ascending positive excesses (Zhang and Stephens 2009, with their prior).

    A positive shape is a heavy tail, a negative one ends.
    """
    count = len(excesses)
    points = 30 + int(math.sqrt(count))
    quarter = excesses[int(count / 4 + 0.5) - 1]
    grid = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    theta = grid / (3 * quarter) + 1 / excesses[-1]
    shapes = np.log1p(-theta[:, None] * excesses).mean(axis=1)  # of each theta
    likelihood = count * (np.log(-theta / shapes) - shapes - 1)
    weights = 1 / np.exp(likelihood - likelihood[:, None]).sum(axis=1)
    best = float((theta * weights).sum() / weights.sum())
    shape = float(np.log1p(-best * excesses).mean())
    return shape, -shape / best


def quantile(beyond: Doubles, shape: float, scale: float) -> Doubles:
    """The excess that a share `beyond` of excesses is over."""
    if abs(shape) < 1e-9:
        return np.asarray(-scale * np.log(beyond))
    return np.asarray(scale / shape * (beyond**-shape - 1))


def anderson_darling(excesses: Doubles, shape: float, scale: float) -> float:
    """How far ascending excesses are from the distribution; it looks at both ends more than at the middle."""
    count = len(excesses)
    inside = np.maximum(1 + shape * excesses / scale, 1e-12)
    survives = np.exp(-excesses / scale) if abs(shape) < 1e-9 else inside ** (-1 / shape)
    survives = np.clip(survives, 1e-12, 1 - 1e-12)
    odd = 2 * np.arange(1, count + 1) - 1
    return float(-count - (odd * (np.log1p(-survives) + np.log(survives[::-1]))).sum() / count)


def _none(why: str, excesses: Doubles) -> Tail:
    return Tail(excesses=len(excesses), why=why)

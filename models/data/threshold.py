"""The threshold: from scores of held-back good frames to a target false-reject rate, with an interval."""

from __future__ import annotations

import math

import numpy as np

from agent.bundle.bundle import Threshold
from agent.errors import PlumblineError
from agent.messages import Floats

RESAMPLES = 1000


class CalibrationError(PlumblineError):
    """The scores cannot carry the threshold that is asked for; says how many are needed."""


def calibrate(scores: Floats, *, target: float, source: str, seed: int = 0) -> Threshold:
    """The smallest threshold that new good parts of such scores reach at an expected rate of `target`.

    Split conformal: the ceil((n + 1)(1 - target))-th smallest of n exchangeable good scores. The interval is
    the 95 % bootstrap of that order statistic. Where n is too small for the target the threshold is
    provisional: the largest score sets it, and it names the rate that it keeps. Raises CalibrationError for
    n = 0.
    """
    count = len(scores)
    if count == 0:
        raise CalibrationError(f"no good frames to calibrate on: give at least {frames_needed(target)}")
    rank = min(count, math.ceil((count + 1) * (1 - target)))
    resampled = np.random.default_rng(seed).choice(scores, (RESAMPLES, count))
    low, high = np.quantile(_just_above(np.sort(resampled)[:, rank - 1]), [0.025, 0.975])
    return Threshold(
        raw=float(_just_above(np.sort(scores)[rank - 1])),
        target_false_reject_rate=target,
        interval=(float(low), float(high)),
        good_frames=count,
        source=source,
        provisional_rate=None if count >= frames_needed(target) else promised(count),
    )


def frames_needed(target: float) -> int:
    """How many good frames can promise a false-reject rate of `target`."""
    # Rounded, because (1 - 0.05) / 0.05 is a little above 19.
    return math.ceil(round((1 - target) / target, 6))


def promised(count: int) -> float:
    """The lowest expected false-reject rate that `count` good frames can promise: above the largest score."""
    return 1 / (count + 1)


def _just_above(scores: Floats) -> Floats:
    """The next floats up: a frame fails at or above the threshold, and the one that sets it must pass."""
    above: Floats = np.nextafter(scores, np.float32(np.inf), dtype=np.float32)
    return above

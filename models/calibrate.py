"""The threshold: from scores of held-back good frames to a target false-reject rate, with an interval."""

from __future__ import annotations

import math

import numpy as np

from agent.bundle import Threshold
from agent.errors import PlumblineError
from agent.messages import Floats

RESAMPLES = 1000


class CalibrationError(PlumblineError):
    """The scores cannot carry the threshold that is asked for; says how many are needed."""


def calibrate(scores: Floats, *, target: float, source: str, seed: int = 0) -> Threshold:
    """The smallest threshold that keeps the expected false-reject rate of new good parts at `target`.

    Split conformal: the ceil((n + 1)(1 - target))-th smallest of n exchangeable good scores. The interval is
    the 95 % bootstrap of that order statistic. Raises CalibrationError when n is too small for the target.
    """
    count = len(scores)
    rank = math.ceil((count + 1) * (1 - target))
    if rank > count:
        needed = math.ceil((1 - target) / target)
        raise CalibrationError(
            f"{count} good frames cannot show a false-reject rate of {target}: give at least {needed}"
        )
    resampled = np.random.default_rng(seed).choice(scores, (RESAMPLES, count))
    low, high = np.quantile(_just_above(np.sort(resampled)[:, rank - 1]), [0.025, 0.975])
    return Threshold(
        raw=float(_just_above(np.sort(scores)[rank - 1])),
        target_false_reject_rate=target,
        interval=(float(low), float(high)),
        good_frames=count,
        source=source,
    )


def _just_above(scores: Floats) -> Floats:
    """The next floats up: a frame fails at or above the threshold, and the one that sets it must pass."""
    above: Floats = np.nextafter(scores, np.float32(np.inf), dtype=np.float32)
    return above

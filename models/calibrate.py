"""The threshold: from scores of held-back good frames to a target false-reject rate, with an interval."""

from __future__ import annotations

import math

import numpy as np

from agent.bundle import Threshold
from agent.messages import Floats

RESAMPLES = 1000


def calibrate(scores: Floats, *, target: float, source: str, seed: int = 0) -> Threshold:
    """The smallest threshold that keeps the expected false-reject rate of new good parts at `target`.

    Split conformal: the ceil((n + 1)(1 - target))-th smallest of n exchangeable good scores. The interval is
    the 95 % bootstrap of that order statistic. Raises ValueError when n is too small for the target.
    """
    if math.ceil((len(scores) + 1) * (1 - target)) > len(scores):
        needed = math.ceil((1 - target) / target)
        raise ValueError(
            f"{len(scores)} good frames cannot show a false-reject rate of {target}: give at least {needed}"
        )
    rng = np.random.default_rng(seed)
    resampled = [_order_statistic(rng.choice(scores, len(scores)), target) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Threshold(
        raw=_order_statistic(scores, target),
        target_false_reject_rate=target,
        interval=(float(low), float(high)),
        good_frames=len(scores),
        source=source,
    )


def _order_statistic(scores: Floats, target: float) -> float:
    rank = math.ceil((len(scores) + 1) * (1 - target))
    # The next float up: a frame fails at or above the threshold, and this one must pass.
    return float(np.nextafter(np.sort(scores)[rank - 1], np.float32(np.inf), dtype=np.float32))

"""Whether one model ranks better than another: AUROC of both on the same pictures, drawn again in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.messages import Flags, Floats

DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Image AUROC of two models on the same pictures, and the 95 % interval of their difference."""

    one: float
    other: float
    low: float  # of one less other
    high: float


def paired(labels: Flags, one: Floats, other: Floats, seed: int = 0) -> Paired:
    """Good and defective pictures (False, True) are drawn again apart, the same for both models.

    Scores are (N,), or (runs, N) of models that were trained several times, whose mean counts. Raises
    ValueError where there are no pictures of one kind.
    """
    if labels.all() or not labels.any():
        raise ValueError("good and defective pictures are needed to rank models")
    wins = _wins(labels, one), _wins(labels, other)  # (defective, good)
    bad, good = wins[0].shape
    rng = np.random.default_rng(seed)
    again = rng.multinomial(bad, np.full(bad, 1 / bad), DRAWS) / bad  # (DRAWS, bad): how often each
    against = rng.multinomial(good, np.full(good, 1 / good), DRAWS) / good
    apart = (wins[0] - wins[1]).astype(np.float32)
    drawn = np.sum(again.astype(np.float32) @ apart * against, 1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Paired(one=float(wins[0].mean()), other=float(wins[1].mean()), low=float(low), high=float(high))


def _wins(labels: Flags, scores: Floats) -> npt.NDArray[np.float32]:
    """1 where a defective picture scores above a good one, a half for a tie; (defective, good)."""
    runs = np.atleast_2d(scores)
    bad, good = runs[:, labels][:, :, None], runs[:, ~labels][:, None]
    return np.asarray(((bad > good) + 0.5 * (bad == good)).mean(0), np.float32)

"""Detection figures, exact: no histogram, no normalisation per picture, no threshold grid.

Of pictures: AUROC, AP (step rule) and F1max (an upper bound, chosen on the test set).
Of pixels: the same and AUPRO, integrated over every distinct score with linear interpolation at the limit.
Between two scores of defect pixels only false alarms are added, so all that these figures need is how many
good pixels lie above each defect pixel: good scores are sorted once, in place, and nothing else is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Flags, Floats

Array = npt.NDArray[np.floating]
LIMIT = 0.3  # false-positive rate up to which overlap counts


def auroc(labels: Flags, scores: Array) -> float:
    """P(defective scores above good), ties count half. Raises ValueError as `levels` does."""
    hits, alarms = levels(labels, scores)
    return _auroc(hits, np.concatenate([[0.0], alarms[:-1]]), alarms, alarms[-1])


def average_precision(labels: Flags, scores: Array) -> float:
    """By the step rule. Raises ValueError as `levels` does."""
    return _average_precision(*levels(labels, scores))


def f1_max(labels: Flags, scores: Array) -> float:
    """At the best of all thresholds. Raises ValueError as `levels` does."""
    return _f1_max(*levels(labels, scores))


def levels(labels: Flags, scores: Array) -> tuple[Array, Array]:
    """Defective and good pictures at or above each distinct score, falling.

    Raises ValueError where there are none of one kind, and for scores that are no numbers.
    """
    if labels.all() or not labels.any():
        raise ValueError("figures of pictures need good and defective ones")
    if np.isnan(scores).any():
        raise ValueError("figures of pictures: a score is no number")
    order = np.argsort(-scores, kind="stable")
    last_of_ties = _last_of_ties(scores[order])
    hits = np.cumsum(labels[order])[last_of_ties].astype(np.float64)
    return hits, last_of_ties + 1.0 - hits


@dataclass(frozen=True, kw_only=True)
class PixelFigures:
    """How well maps say where."""

    auroc: float
    ap: float
    f1_max: float
    aupro: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """One entry for each distinct score of a defect pixel, falling; counts are of pixels at or above it."""

    hits: Array  # defect pixels
    overlap: Array  # mean share of a region, every region alike
    alarms: Array  # good pixels
    alarms_above: Array  # good pixels strictly above
    good: int  # good pixels in all

    @property
    def curve(self) -> tuple[Array, Array]:
        """False-positive rate and overlap, from (0, 0) to (1, 1); straight in between."""
        rates = np.stack([self.alarms_above, self.alarms], 1).ravel() / self.good
        before = np.concatenate([[0.0], self.overlap[:-1]])
        overlaps = np.stack([before, self.overlap], 1).ravel()
        return np.concatenate([[0.0], rates, [1.0]]), np.concatenate([[0.0], overlaps, [1.0]])


def rank(masks: Sequence[Flags], maps: Sequence[Floats]) -> Ranking:
    """Masks and maps are (H, W), pair by pair, good pictures included; regions are 8-connected.

    Raises ValueError when no mask has a region, when no pixel is good, or for scores that are no numbers.
    """
    good = np.empty(sum(mask.size - np.count_nonzero(mask) for mask in masks), np.result_type(*maps))
    scores, weights = [], []
    filled = 0
    for mask, map_ in zip(masks, maps, strict=True):
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        outside = map_[~mask]
        good[filled : filled + len(outside)] = outside
        filled += len(outside)
        scores.append(map_[mask])
        weights.append(1.0 / stats[labels[mask], cv2.CC_STAT_AREA])
    hot = np.concatenate(scores)
    if not len(hot) or not len(good):
        raise ValueError("pixel figures need at least one defect region and one good pixel in the masks")
    good.sort()
    if np.isnan(good[-1]) or np.isnan(hot).any():  # sorting puts what is no number last
        raise ValueError("pixel figures: a map holds values that are no numbers")
    order = np.argsort(-hot, kind="stable")
    hot = hot[order]
    last_of_ties = _last_of_ties(hot)
    distinct = hot[last_of_ties]
    covered = np.cumsum(np.concatenate(weights)[order])[last_of_ties]  # regions
    return Ranking(
        hits=last_of_ties + 1.0,
        overlap=covered / covered[-1],
        alarms=len(good) - np.searchsorted(good, distinct, side="left").astype(np.float64),
        alarms_above=len(good) - np.searchsorted(good, distinct, side="right").astype(np.float64),
        good=len(good),
    )


def pixel_figures(masks: Sequence[Flags], maps: Sequence[Floats]) -> PixelFigures:
    """All figures of pixels in one ranking. Raises ValueError as `rank` does."""
    ranking = rank(masks, maps)
    return PixelFigures(
        auroc=_auroc(ranking.hits, ranking.alarms_above, ranking.alarms, ranking.good),
        ap=_average_precision(ranking.hits, ranking.alarms),
        f1_max=_f1_max(ranking.hits, ranking.alarms),
        aupro=_area(*ranking.curve, LIMIT),
    )


def aupro(masks: Sequence[Flags], maps: Sequence[Floats], limit: float = LIMIT) -> float:
    """Area under the per-region overlap curve up to a false-positive rate of `limit`, over `limit`.

    Regions weigh the same whatever their size. Raises ValueError as `rank` does.
    """
    return _area(*rank(masks, maps).curve, limit)


def _auroc(hits: Array, alarms_above: Array, alarms: Array, good: float) -> float:
    found = np.diff(hits, prepend=0.0)  # defective ones at each score
    below = good - (alarms_above + alarms) / 2  # ties count half
    return float(np.sum(found * below) / (hits[-1] * good))


def _average_precision(hits: Array, alarms: Array) -> float:
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / (hits + alarms)) / hits[-1])


def _f1_max(hits: Array, alarms: Array) -> float:
    return float(np.max(2 * hits / (hits + alarms + hits[-1])))


def _last_of_ties(falling: Array) -> npt.NDArray[np.intp]:
    return np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)


def _area(rates: Array, overlaps: Array, limit: float) -> float:
    inside = rates <= limit
    x = np.append(rates[inside], limit)
    y = np.append(overlaps[inside], np.interp(limit, rates, overlaps))
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit)

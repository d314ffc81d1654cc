"""Detection figures, exact: no histogram, no normalisation per picture, no threshold grid.

AUROC, AP (step rule) and F1max (an upper bound, chosen on the test set) are scikit-learn's; AUPRO@0.3 is
integrated here over every distinct score, with linear interpolation at the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from agent.messages import Flags, Floats

Array = npt.NDArray[np.floating]


def auroc(labels: Flags, scores: Array) -> float:
    """P(defective scores above good), ties count half."""
    return float(roc_auc_score(labels, scores))


def average_precision(labels: Flags, scores: Array) -> float:
    return float(average_precision_score(labels, scores))


def f1_max(labels: Flags, scores: Array) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    both = precision + recall
    return float(np.max(np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)))


def aupro(masks: Sequence[Flags], maps: Sequence[Floats], limit: float = 0.3) -> float:
    """Area under the per-region overlap curve up to a false-positive rate of `limit`, over `limit`.

    Masks and maps are (H, W), pair by pair, good pictures included; regions are 8-connected and
    weigh the same whatever their size. Raises ValueError when no mask has a region.
    """
    weights, negatives, scores = [], [], []
    regions = 0
    for mask, map_ in zip(masks, maps, strict=True):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        share = np.zeros(count)
        share[1:] = 1.0 / stats[1:, cv2.CC_STAT_AREA]
        weights.append(share[labels].ravel())
        negatives.append((~mask).ravel())
        scores.append(map_.ravel())
        regions += count - 1
    if regions == 0:
        raise ValueError("AUPRO needs at least one defect region; the masks are all empty")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    score = np.concatenate(scores)[order]
    overlap = np.cumsum(np.concatenate(weights)[order]) / regions
    negative = np.concatenate(negatives)[order]
    fpr = np.cumsum(negative) / max(1, negative.sum())
    last_of_ties = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    fpr = np.concatenate([[0.0], fpr[last_of_ties]])
    overlap = np.concatenate([[0.0], overlap[last_of_ties]])
    inside = fpr <= limit
    at_limit = np.interp(limit, fpr, overlap)
    x = np.append(fpr[inside], limit)
    y = np.append(overlap[inside], at_limit)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / limit)

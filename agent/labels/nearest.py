"""The label of a defect by its nearest labelled ones. Pure; n samples of width d, m classes, float32.

The distance to a class is the mean one to its NEAREST nearest samples. A defect has the label of the nearest
class, or is unknown where that is farther than the set's limit. Certainty is about how often such a label is
right: of the distances d to the best class and e to the next best, e^s / (d^s + e^s), from 0.5 for a draw to
1, with the sharpness s by which the set's samples would name each other. Of an unknown one, and where there
is one class only, the limit stands for the other. Measured in tests/benchmarks/bench_labels.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.labels.label_set import UNKNOWN, LabelSet, by_scale
from agent.messages import Floats

NEAREST = 3
UNKNOWN_RATE = 0.1  # of labelled defects that would be unknown, each judged by all others
SHARPNESS = (1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0)
MEASURED = 512  # samples, evenly spread, that tell how far two usually are

Classes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A defect's label, which may be UNKNOWN, and how clear it is, 0.5 to 1."""

    label: str
    certainty: float


def name(labels: LabelSet, vectors: Floats) -> list[Named]:
    """Of each of (k, d) vectors."""
    head = labels.head
    to_class = class_distances(
        distances(by_scale(vectors, head.scales), labels.scaled), np.array(head.class_of), len(head.classes)
    )
    return [_named(head.classes, row, head.limit, head.sharpness) for row in to_class]


def distances(some: Floats, others: Floats) -> Floats:
    """(k, n) of (k, d) and (n, d)."""
    squares = (some**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * (some @ others.T)
    found: Floats = np.sqrt(np.maximum(squares, 0))
    return found


def class_distances(found: Floats, class_of: Classes, classes: int) -> Floats:
    """(k, m) of distances (k, n); inf entries, as of a sample to itself, are left out."""
    columns = []
    for index in range(classes):
        own = found[:, class_of == index]
        nearest = np.partition(own, min(NEAREST, own.shape[1]) - 1, axis=1)[:, :NEAREST]
        counted = np.isfinite(nearest)
        columns.append(np.where(counted, nearest, 0).sum(1) / np.maximum(counted.sum(1), 1))
    return np.stack(columns, axis=1).astype(np.float32)


def scales_of(vectors: Floats, parts: int) -> tuple[float, ...]:
    """How far two samples usually are in each part: one scale for each, above 0."""
    chosen = vectors[:: -(-len(vectors) // MEASURED)].reshape(-1, parts, vectors.shape[1] // parts)
    upper = np.triu_indices(len(chosen), 1)
    found = (distances(chosen[:, part], chosen[:, part])[upper] for part in range(parts))
    return tuple(float(np.median(one)) if len(one) and np.median(one) > 0 else 1.0 for one in found)


def left_out(scaled: Floats, class_of: Classes, classes: int) -> Floats:
    """(n, m): each sample's distance to every class, by all samples but itself."""
    found = distances(scaled, scaled)
    np.fill_diagonal(found, np.inf)
    return class_distances(found, class_of, classes)


def limit_of(to_class: Floats) -> float:
    """The distance beyond which a defect is unknown, of leave-one-out distances (n, m).

    The smallest that leaves UNKNOWN_RATE of the samples beyond it, as split conformal prediction counts them;
    their largest where there are too few to promise that.
    """
    nearest = np.sort(to_class.min(axis=1))
    rank = math.ceil(round((len(nearest) + 1) * (1 - UNKNOWN_RATE), 6))
    return max(float(nearest[min(rank, len(nearest)) - 1]), 1e-6)


def sharpness_of(to_class: Floats, class_of: Classes) -> float:
    """The one of SHARPNESS that fits, by log loss, what leave-one-out distances (n, m) name rightly."""
    if to_class.shape[1] < 2:
        return SHARPNESS[0]
    ordered = np.sort(np.maximum(to_class, 1e-6), axis=1)
    lead = np.log(ordered[:, 1] / ordered[:, 0])
    right = to_class.argmin(axis=1) == class_of
    # -log of certainty where right, of its rest where wrong: log(1 + e^-x) without overflow
    losses = [float(np.logaddexp(0, np.where(right, -1, 1) * one * lead).mean()) for one in SHARPNESS]
    return SHARPNESS[int(np.argmin(losses))]


def _named(classes: Sequence[str], row: Floats, limit: float, sharpness: float) -> Named:
    order = np.argsort(row, kind="stable")
    best, nearest = classes[order[0]], float(row[order[0]])
    if nearest > limit:
        return Named(label=UNKNOWN, certainty=_share(nearest, limit, sharpness))
    second = float(row[order[1]]) if len(row) > 1 else limit
    return Named(label=best, certainty=_share(second, nearest, sharpness))


def _share(large: float, small: float, sharpness: float) -> float:
    """Of two distances, 0.5 to 1; two that are nothing are a draw."""
    if large <= 0:
        return 0.5
    return round(1 / (1 + math.pow(min(small, large) / large, sharpness)), 4)

"""A judged frame in a few numbers, from at most some ten thousand of its pixels: pure.

Light is told by the whole picture, sharpness by its finest detail. Of a frame without a restoration (nobody
looks at one) that number is not a number, and so is every one that came out so.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from agent.messages import Floats, Inspection, Pixels

Indices: TypeAlias = npt.NDArray[np.intp]
Group: TypeAlias = Literal["light", "input", "restoration", "score"]

GROUPS: Final[dict[str, Group]] = {
    "brightness": "light",  # median grey value
    "contrast": "light",  # from the 5th to the 95th percentile of grey values
    "shading": "light",  # the middle of the left half over that of the right half, as a logarithm
    "sharpness": "input",  # mean step between neighbours, of the contrast
    "restoration": "restoration",  # mean difference of picture and restoration, in grey values
    "score": "score",  # raw, as a logarithm: a threshold that somebody sets is no drift
    "evidence": "score",  # median of the map
}
NAMES: Final = tuple(GROUPS)
SIDE_PX = 96  # of the sample that stands for a picture, and of the one that stands for its map
LEAST = 1e-6


def measure(picture: Pixels, inspection: Inspection, *, score: float) -> Floats:
    """(len(NAMES),) of a frame in 8 bits; `score` is raw."""
    rows, columns = (_spread(length, SIDE_PX) for length in picture.shape[:2])
    sample = picture[np.ix_(rows, columns)]
    low, middle, high = _percentiles(sample, (5, 50, 95))
    half = max(1, len(columns) // 2)
    (left,), (right,) = _percentiles(sample[:, :half], (50,)), _percentiles(sample[:, -half:], (50,))
    contrast = max(high - low, 1.0)
    return np.array(
        [
            middle,
            contrast,
            np.log((left + 1) / (right + 1)),
            _steps(picture, sample, rows, columns) / contrast,
            _restoration(sample, rows, columns, picture.shape, inspection.restored),
            np.log(max(score, LEAST)),
            float(np.median(_thinned(inspection.evidence))),
        ],
        np.float32,
    )


def _spread(length: int, side: int) -> Indices:
    """At most `side` places, evenly over a length."""
    return np.linspace(0, length - 1, min(length, side)).astype(np.intp)


def _thinned(evidence: Floats) -> Floats:
    return evidence[np.ix_(*(_spread(length, SIDE_PX) for length in evidence.shape))]


def _percentiles(sample: Pixels, shares: tuple[int, ...]) -> list[float]:
    """Of grey values, between whole ones by the share of the next."""
    counts = np.bincount(sample.ravel(), minlength=256)
    above = np.cumsum(counts) / sample.size
    values = []
    for share in shares:
        value = int(np.searchsorted(above, share / 100))
        below = 0.0 if value == 0 else float(above[value - 1])
        values.append(value - 0.5 + (share / 100 - below) / (float(above[value]) - below))
    return values


def _steps(picture: Pixels, sample: Pixels, rows: Indices, columns: Indices) -> float:
    """The mean size of steps from the places of a sample to their neighbours below and at the right."""
    here = sample.astype(np.int16)
    sizes = [
        float(np.abs(picture[np.ix_(down, across)].astype(np.int16) - here).mean())
        for down, across in (
            (np.minimum(rows + 1, len(picture) - 1), columns),
            (rows, np.minimum(columns + 1, picture.shape[1] - 1)),
        )
    ]
    return sum(sizes) / 2


def _restoration(
    sample: Pixels, rows: Indices, columns: Indices, shape: tuple[int, ...], restored: Pixels | None
) -> float:
    """Of the same places, in a restoration that may be of another size."""
    if restored is None:
        return float("nan")
    down, across = (
        places * (there - 1) // max(1, length - 1)
        for places, there, length in zip((rows, columns), restored.shape, shape, strict=False)
    )
    back = restored[np.ix_(down, across)].astype(np.int16)
    return float(np.abs(sample.astype(np.int16) - back).mean())

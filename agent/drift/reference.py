"""What the numbers of a camera's frames were on the first good parts by one recipe: pure, and JSON of it.

A reference stands as long as its footing does: the bundle and the regions that the recipe ignores. Thresholds
are no part of it, since scores are measured by them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agent.drift.statistics import NAMES
from agent.messages import Floats

BINS = 10
STRETCHES = 5  # of the parts of a reference, in their order
OF_A_MEDIAN = np.pi / 2  # variance of a median of n, times n, in those of one
LEAST_SPREAD = 1e-3
LEAST_SHARE = 0.02  # of the middle value, below which nothing is a change


class _Json(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Band(_Json):
    """One number of all of those frames."""

    edges: tuple[float, ...] = Field(min_length=BINS - 1, max_length=BINS - 1, description="between bins")
    shares: tuple[float, ...] = Field(min_length=BINS, max_length=BINS, description="of frames in each bin")
    low: float = Field(description="5th percentile")
    middle: float
    high: float = Field(description="95th percentile")
    spread: float = Field(gt=0, description="half of what lies between the 16th and the 84th percentile")
    wander: float = Field(
        ge=0, description="of medians of stretches from that of all, more than by chance, in spreads"
    )


class Reference(_Json):
    """`plumbline.drift-reference/1`."""

    schema_: Literal["plumbline.drift-reference/1"] = Field("plumbline.drift-reference/1", alias="schema")
    camera: str
    recipe: str
    footing: str = Field(pattern=r"^[0-9a-f]{64}$")
    since: str = Field(description="when it was whole: UTC, RFC 3339")
    good: int = Field(ge=1, description="parts that it was learned from")
    fails: int = Field(ge=0, description="that came between them")
    bands: dict[str, Band]
    typical: str = Field(description="result_id of the part that is nearest to the middle of all")


def bands_of(rows: Floats) -> dict[str, Band]:
    """Of good parts (N, len(NAMES)); a number that most of them lack has no band."""
    found = {}
    for name, column in zip(NAMES, rows.T, strict=True):
        values = column[np.isfinite(column)].astype(np.float64)
        if 2 * len(values) <= len(column):
            continue
        edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
        low, sixth, middle, most, high = np.quantile(values, (0.05, 0.16, 0.5, 0.84, 0.95))
        spread = max(float(most - sixth) / 2, LEAST_SPREAD, LEAST_SHARE * abs(float(middle)))
        medians = np.array([np.median(stretch) for stretch in np.array_split(values, STRETCHES)])
        by_chance = OF_A_MEDIAN / (len(values) / STRETCHES)
        found[name] = Band(
            edges=tuple(map(float, edges)),
            shares=tuple(map(float, shares(values, tuple(edges)))),
            low=float(low),
            middle=float(middle),
            high=float(high),
            spread=spread,
            wander=float(np.sqrt(max(0.0, np.mean(((medians - middle) / spread) ** 2) - by_chance))),
        )
    return found


def shares(values: np.ndarray[tuple[int], np.dtype[np.float64]], edges: tuple[float, ...]) -> list[float]:
    """Of values in each bin, none of which is quite empty."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=BINS)
    return [float(one) for one in (counts + 0.5) / (len(values) + 0.5 * BINS)]


def nearest_to_middle(rows: Floats, bands: dict[str, Band]) -> int:
    """The number of the row that is most like all of them."""
    far = np.zeros(len(rows))
    for name, band in bands.items():
        column = rows[:, NAMES.index(name)]
        far += np.nan_to_num(np.abs(column - band.middle) / band.spread, nan=10.0)
    return int(far.argmin())

"""Whether a process takes no more at its end than it took when it was warm. Pure.

A life's second quarter is compared with its last one, by medians: the first is the start, and what a hazard
takes for its while is no growth. Only lives of a quarter of the day or longer tell: in a shorter one half
of the quarters would be what a single rollout took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.soak.watch import Sample

TOLD_FROM = 0.25  # of the day


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Of one life, from its second quarter to its last: medians of each."""

    life: int
    lasted_s: float  # of the real clock
    rss_mb: tuple[float, float]
    threads: tuple[float, float]
    handles: tuple[float, float]

    @property
    def rss_share(self) -> float:
        """0.05 is five in a hundred more."""
        return self.rss_mb[1] / self.rss_mb[0] - 1


def growths(samples: Sequence[Sample], *, day_s: float) -> list[Growth]:
    """Of the lives that are long enough to tell."""
    lives: dict[int, list[Sample]] = {}
    for one in samples:
        lives.setdefault(one.life, []).append(one)
    return [
        growth(life, found)
        for life, found in lives.items()
        if found[-1].at_s - found[0].at_s >= TOLD_FROM * day_s
    ]


def growth(life: int, samples: Sequence[Sample]) -> Growth:
    begins_s, lasted_s = samples[0].at_s, samples[-1].at_s - samples[0].at_s
    second, last = (
        [one for one in samples if low * lasted_s <= one.at_s - begins_s <= high * lasted_s]
        for low, high in ((0.25, 0.5), (0.75, 1.0))
    )
    return Growth(
        life=life,
        lasted_s=lasted_s,
        rss_mb=(median(one.rss_mb for one in second), median(one.rss_mb for one in last)),
        threads=(median(one.threads for one in second), median(one.threads for one in last)),
        handles=(median(one.handles for one in second), median(one.handles for one in last)),
    )


def same_age_mb(samples: Sequence[Sample], *, from_s: float, to_s: float) -> list[float]:
    """The median memory of each life that lasted so long, at the same age."""
    begins: dict[int, float] = {}
    lives: dict[int, list[Sample]] = {}
    for one in samples:
        begins.setdefault(one.life, one.at_s)
        lives.setdefault(one.life, []).append(one)
    return [
        median(one.rss_mb for one in found if from_s <= one.at_s - begins[life] <= to_s)
        for life, found in lives.items()
        if found[-1].at_s - begins[life] >= to_s
    ]

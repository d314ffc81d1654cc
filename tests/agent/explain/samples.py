"""A made-up explanation: two defects, the second one of brightness alone."""

from __future__ import annotations

import numpy as np

from agent.explain.document import Explanation, Place, Profile
from agent.explain.form import Good, Kind
from agent.explain.words import NAMES, evidence_of, sentence

GOOD = Good(
    kinds=tuple(Kind(name=name, weight=1 / len(NAMES), values=(0.0, 3.0, 5.0)) for name in NAMES),
    groups=(),
    shares=(0.5, 0.99, 0.999),
    frames=120,
)


def explanation(result_id: str) -> Explanation:
    texture = (7.0, 1.0, 4.0, 9.2, 5.0, -0.3, 2.0, 3.1, 2.4)
    bright = (2.0, 1.0, 0.5, 0.4, 0.2, 6.1, 5.5, 0.8, 0.6)
    return Explanation(
        result_id=result_id,
        camera="top",
        bundle="elpv",
        good_frames=120,
        places=(place(0, texture, (120, 80)), place(1, bright, (40, 200))),
        notes=("3 weaker defects are left out",),
    )


def place(index: int, values: tuple[float, ...], peak_px: tuple[int, int]) -> Place:
    kinds = evidence_of(GOOD, values, [value / 2 for value in values])
    return Place(
        index=index,
        bbox_px=(peak_px[0] - 10, peak_px[1] - 10, 20, 20),
        peak_px=peak_px,
        sentence=sentence(kinds, GOOD),
        kinds=kinds,
        across=profile(values, peak_px[0]),
        down=profile(values, peak_px[1]),
    )


def profile(values: tuple[float, ...], at_px: int) -> Profile:
    """A hill of each kind around the peak."""
    places = np.arange(64) * 4.7 + 2.3
    hill = np.exp(-(((places - at_px) / 12) ** 2))
    return Profile(
        start_px=2.3,
        step_px=4.7,
        map=tuple((hill * 160).round(1).tolist()),
        kinds={
            name: tuple((hill * value).round(2).tolist()) for name, value in zip(NAMES, values, strict=True)
        },
    )

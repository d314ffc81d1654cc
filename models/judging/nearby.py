"""The scores that set a threshold: of good parts as they are, and as the line may show them another day.

The lamp ages, focus and place drift, and new parts differ from old ones. Split conformal promises for parts
like those that were scored, so each held-back part is scored in a few such states of the camera's picture,
and its largest score counts: in whichever of them parts come, on the average no more are rejected than was
promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from agent.bundle.bundle import InputSpec
from agent.messages import Floats, Pixels
from models.data.datasets import Item, read_image
from models.judging.evaluate import Inspector, score_of
from models.parts.variation import at_exposure, out_of_focus, shifted

STATES: tuple[Callable[[Pixels], Pixels], ...] = (
    partial(at_exposure, factor=0.9),
    partial(at_exposure, factor=1.1),
    out_of_focus,
    shifted,
)
HELD = (  # as a bundle says where its threshold comes from
    "held-back good training parts, the largest score of each as it is, a tenth darker and brighter, "
    "out of focus and moved by 2 px"
)


def nearby_scores(items: Iterable[Item], inspector: Inspector, spec: InputSpec) -> Floats:
    """Each part's score as it is and in each of STATES, (N, 1 + len(STATES))."""
    found = []
    for item in items:
        picture = read_image(item.image, spec.channels)
        states = (picture, *(change(picture) for change in STATES))
        found.append([score_of(one, inspector, spec) for one in states])
    return np.array(found, np.float32).reshape(-1, 1 + len(STATES))

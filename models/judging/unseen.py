"""Defects that no training saw: blended pieces of other good parts (NSA) in held-back ones.

What is chosen is chosen by these, never by test pictures; and what is restored is held against the good part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.bundle import InputSpec
from agent.engines.engine import Answer
from agent.line.infer import lay_out
from agent.line.prepare import cut_tiles, scaled
from agent.messages import Pixels
from models.data.datasets import DataError, Item, read_image
from models.data.product import find_foreground, read_product
from models.parts.defects.natural import spoil_unseen
from models.stages import SILENT, Stages

PAIRS = 48  # about so many held-back pictures and as many spoilt twins at least decide
TWINS_SEED = 1  # other defects than those that chose the yardstick's strides


@dataclass(frozen=True, kw_only=True)
class Twin:
    """A good picture and the same with a defect, uint8 (H, W, C) at the model's scale."""

    clean: Pixels
    spoilt: Pixels


def left_in(
    inspector: Callable[[Pixels], Answer], twins: Sequence[Twin], spec: InputSpec, stages: Stages = SILENT
) -> float:
    """The share of a defect that its restoration still shows, in the median: 1 all of it, 0 none.

    With d what the defect changed and r what the restoration differs by from the good picture, it is
    sum(d r) / sum(d d): nothing else that a restoration changes counts.
    """
    shares = []
    for twin in stages.over(twins, "restoring defects that no training saw"):
        tiles, origins = cut_tiles(twin.spoilt, spec)
        answer = inspector(tiles)
        assert answer.restored is not None
        shape = (twin.clean.shape[0], twin.clean.shape[1])
        restored = lay_out(answer.restored, origins, shape)
        changed, differs = (one.astype(np.float64) - twin.clean for one in (twin.spoilt, restored))
        shares.append(float((changed * differs).sum() / (changed**2).sum()))
    return float(np.median(shares))


def picture_of(item: Item, spec: InputSpec) -> Pixels:
    """The picture at the model's scale, (H, W, C). Raises DataError."""
    return scaled(read_image(item.image, spec.channels), spec)


def spoilt_twins(
    held: Sequence[Item], kept: Sequence[Item], spec: InputSpec, count: int, seed: int
) -> list[Twin]:
    """At least `count` held-back pictures, evenly spread, and the same with defects that no training saw.

    Pieces come from kept pictures of the same product. Pictures on which nothing shows are left out; raises
    DataError where it shows on none.
    """
    rng = np.random.default_rng(seed)
    by_product: dict[str, list[Item]] = {}
    for item in kept:
        by_product.setdefault(item.product, []).append(item)
    found = []
    chosen = held[:: max(1, len(held) // count)]
    for _ in range(-(-count // len(chosen))):
        for item in chosen:
            others = by_product[item.product]
            picture, other = picture_of(item, spec), picture_of(others[int(rng.integers(len(others)))], spec)
            rule = read_product(item.folder)
            place = None if rule.foreground == "all" else find_foreground(picture, rule)
            spoilt, mask = spoil_unseen(picture, other, rng, foreground=place)
            if mask.any():
                found.append(Twin(clean=picture, spoilt=spoilt))
    if not found:
        raise DataError(
            f"{held[0].image.parent}: a piece of one good part shows on no other one, so nothing can be made "
            "of them to compare models by; are these pictures of parts?"
        )
    return found

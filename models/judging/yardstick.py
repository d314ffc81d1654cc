"""The yardstick of every evaluation: the strongest memory of good parts that the student's features allow.

It sees whole pictures at the model's scale, so that no tile's border costs it anything. Which strides it
looks at is chosen on held-back good parts and on defects that no training saw, never on test pictures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agent.bundle.bundle import InputSpec
from agent.line.prepare import scaled
from agent.messages import Floats, Pixels
from models.data.batches import to_images
from models.data.datasets import DataError, Item, read_image
from models.data.product import find_foreground, read_product
from models.judging.memory import Memory, remember, rows_of
from models.judging.metrics import auroc
from models.parts.defects.natural import spoil_unseen
from models.parts.features import Features, load_features
from models.parts.maps import Blur
from models.stages import SILENT, Stages

STAGES: Mapping[int, tuple[int, ...]] = {8: (2,), 16: (4,), 32: (5, 6)}  # of EfficientNet-Lite0, by stride
CHOICES = ((8,), (16,), (32,), (8, 16), (8, 32), (16, 32))
LOOKED_AT = tuple(stage for stages in STAGES.values() for stage in stages)
PICTURES = 300  # good ones that are remembered, evenly spread, where there are more
COVERED = 20_000  # patches, drawn at random, that the memory must stand for
KEPT = 1000  # of them
PAIRS = 48  # held-back pictures and their spoilt twins that choose
BLUR = 4 / 256  # sigma over the tile's side


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Good patches at these strides to hold pictures against."""

    features: Features
    strides: tuple[int, ...]
    memory: Memory

    def inspect(self, picture: Pixels) -> tuple[float, Floats]:
        """The score of a uint8 picture (H, W, C) of any size, and its map (H, W)."""
        height, width = picture.shape[:2]
        return self.judge(look(self.features, picture), (height, width))

    def judge(self, seen: Mapping[int, Tensor], shape: tuple[int, int]) -> tuple[float, Floats]:
        """The same from what `look` made of a picture of this shape."""
        rows, grid = rows_of([seen[stage] for stride in self.strides for stage in STAGES[stride]])
        distance, score = self.memory.judge(rows)
        grown = F.interpolate(distance.view(1, 1, *grid), size=shape, mode="bilinear")
        return float(score), np.asarray(Blur(BLUR * min(shape))(grown)[0, 0].numpy(), np.float32)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A yardstick for each choice of strides, how they ranked on what no training saw, and what it took."""

    choices: Mapping[tuple[int, ...], Yardstick]
    aurocs: Mapping[tuple[int, ...], float]
    seconds: float

    @property
    def yardstick(self) -> Yardstick:
        """The one that ranked best; of equal ones the first."""
        return self.choices[max(self.choices, key=lambda strides: self.aurocs[strides])]


def build(
    kept: Sequence[Item], held: Sequence[Item], spec: InputSpec, seed: int = 0, stages: Stages = SILENT
) -> Built:
    """Remember good parts, and choose the strides by held-back ones; equal seeds give equal yardsticks.

    Raises WeightsError, and DataError for pictures that cannot be read or on which no defect shows.
    """
    started = time.perf_counter()
    features = load_features(LOOKED_AT)
    choices = remembered(features, kept[:: -(-len(kept) // PICTURES)], spec, seed, stages)
    chosen = held[:: -(-len(held) // PAIRS)]
    good = [picture_of(item, spec) for item in chosen]
    pictures = [*good, *spoilt_twins(chosen, kept, spec, PAIRS, seed)]
    scores: dict[tuple[int, ...], list[float]] = {strides: [] for strides in CHOICES}
    for picture in stages.over(pictures, "choosing the yardstick's strides"):
        seen, shape = look(features, picture), (picture.shape[0], picture.shape[1])
        for strides, choice in choices.items():
            scores[strides].append(choice.judge(seen, shape)[0])
    labels = np.arange(len(pictures)) >= len(good)
    aurocs = {strides: auroc(labels, np.array(some)) for strides, some in scores.items()}
    return Built(choices=choices, aurocs=aurocs, seconds=time.perf_counter() - started)


def remembered(
    features: Features, kept: Sequence[Item], spec: InputSpec, seed: int, stages: Stages = SILENT
) -> dict[tuple[int, ...], Yardstick]:
    """A memory of good pictures for each of CHOICES, all from one look at each picture."""
    rng = torch.Generator().manual_seed(seed)
    share = -(-COVERED // len(kept))  # patches of each picture
    found: dict[tuple[int, ...], list[list[Tensor]]] = {strides: [] for strides in CHOICES}
    for item in stages.over(kept, "looking at good parts"):
        seen = look(features, picture_of(item, spec))
        for strides, some in found.items():
            rows, (height, width) = rows_of([seen[stage] for stride in strides for stage in STAGES[stride]])
            drawn = torch.randperm(height * width, generator=rng)[:share]
            some.append([level[drawn] for level in rows])
    return {
        strides: Yardstick(
            features=features,
            strides=strides,
            memory=remember([torch.cat(level) for level in zip(*some, strict=True)], KEPT, rng, stages),
        )
        for strides, some in found.items()
    }


def look(features: Features, picture: Pixels) -> dict[int, Tensor]:
    """What the frozen features make of a whole picture: a level (1, c, h, w) for each stage."""
    with torch.no_grad():
        levels = features(to_images(picture[None]).expand(-1, 3, -1, -1))
    return dict(zip(LOOKED_AT, levels, strict=True))


def picture_of(item: Item, spec: InputSpec) -> Pixels:
    """The picture at the model's scale, (H, W, C). Raises DataError."""
    return scaled(read_image(item.image, spec.channels), spec)


def spoilt_twins(
    held: Sequence[Item], kept: Sequence[Item], spec: InputSpec, count: int, seed: int
) -> list[Pixels]:
    """At least `count` held-back pictures with defects that no training saw, each picture equally often.

    Pieces come from kept pictures of the same product. Pictures on which nothing shows are left out; raises
    DataError where it shows on none.
    """
    rng = np.random.default_rng(seed)
    by_product: dict[str, list[Item]] = {}
    for item in kept:
        by_product.setdefault(item.product, []).append(item)
    found = []
    for _ in range(-(-count // len(held))):
        for item in held:
            others = by_product[item.product]
            picture, other = picture_of(item, spec), picture_of(others[int(rng.integers(len(others)))], spec)
            rule = read_product(item.folder)
            place = None if rule.foreground == "all" else find_foreground(picture, rule)
            spoilt, mask = spoil_unseen(picture, other, rng, foreground=place)
            if mask.any():
                found.append(spoilt)
    if not found:
        raise DataError(
            f"{held[0].image.parent}: a piece of one good part shows on no other one, so nothing can be made "
            "of them to compare models by; are these pictures of parts?"
        )
    return found

"""The yardstick of every evaluation: the strongest memory of good parts that the student's features allow.

It sees the device's own overlapping tiles. Which strides it looks at is decided on held-back good parts and
on defects that no training saw, never on test pictures: stride 32, unless another choice ranks better there
beyond chance.
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
from agent.engines.engine import Answer
from agent.line.prepare import cut_tiles
from agent.messages import Flags, Floats, Pixels
from models.data.batches import to_images
from models.data.datasets import Item
from models.judging.memory import Memory, remember, rows_of
from models.judging.metrics import auroc
from models.judging.paired import paired
from models.judging.unseen import PAIRS, picture_of, spoilt_twins
from models.parts.features import Features, load_features
from models.parts.maps import Blur
from models.stages import SILENT, Stages

STAGES: Mapping[int, tuple[int, ...]] = {8: (2,), 16: (4,), 32: (5, 6)}  # of EfficientNet-Lite0, by stride
CHOICES = ((8,), (16,), (32,), (8, 16), (8, 32), (16, 32))
USUAL = (32,)  # the best on the test splits of three sets (models/README.md), so these do not speak for it
LOOKED_AT = tuple(stage for stages in STAGES.values() for stage in stages)
PICTURES = 300  # good ones that are remembered, evenly spread, where there are more
COVERED = 20_000  # patches, drawn at random, that the memory must stand for
KEPT = 1000  # of them
BLUR = 4 / 256  # sigma over the tile's side
Look = Mapping[int, Tensor]  # a level (1, c, h, w) of one tile by stage


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Good patches at these strides to hold others against; judges tiles as an engine does."""

    features: Features
    strides: tuple[int, ...]
    memory: Memory

    def inspect(self, tiles: Pixels) -> Answer:
        """Judge uint8 tiles (N, H, W, C), each on its own. Nothing is restored: they come back as is."""
        return self.judge([look(self.features, tile) for tile in tiles], tiles)

    def judge(self, looks: Sequence[Look], tiles: Pixels) -> Answer:
        """The same from what `look` made of each tile."""
        smooth = Blur(BLUR * tiles.shape[1])
        maps, scores = [], []
        for seen in looks:
            rows, grid = rows_of(levels(seen, self.strides))
            distance, score = self.memory.judge(rows)
            grown = F.interpolate(distance.view(1, 1, *grid), size=tiles.shape[1:3], mode="bilinear")
            maps.append(smooth(grown)[0, 0])
            scores.append(score)
        return Answer(scores=torch.stack(scores).numpy(), maps=torch.stack(maps).numpy(), restored=tiles)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A yardstick for each choice of strides, how they ranked on what no training saw, and what it took."""

    choices: Mapping[tuple[int, ...], Yardstick]
    aurocs: Mapping[tuple[int, ...], float]
    strides: tuple[int, ...]  # of the choice that is the yardstick
    seconds: float

    @property
    def yardstick(self) -> Yardstick:
        return self.choices[self.strides]


def build(
    kept: Sequence[Item], held: Sequence[Item], spec: InputSpec, seed: int = 0, stages: Stages = SILENT
) -> Built:
    """Remember good parts, and decide on strides by held-back ones; equal seeds give equal yardsticks.

    Raises WeightsError, and DataError for pictures that cannot be read or on which no defect shows.
    """
    started = time.perf_counter()
    features = load_features(LOOKED_AT)
    choices = remembered(features, kept[:: -(-len(kept) // PICTURES)], spec, seed, stages)
    chosen = held[:: -(-len(held) // PAIRS)]
    good = [picture_of(item, spec) for item in chosen]
    pictures = [*good, *(twin.spoilt for twin in spoilt_twins(chosen, kept, spec, PAIRS, seed))]
    found: dict[tuple[int, ...], list[float]] = {strides: [] for strides in CHOICES}
    for picture in stages.over(pictures, "choosing the yardstick's strides"):
        tiles = cut_tiles(picture, spec)[0]
        looks = [look(features, tile) for tile in tiles]
        for strides, choice in choices.items():
            found[strides].append(float(choice.judge(looks, tiles).scores.max()))
    labels = np.arange(len(pictures)) >= len(good)
    scores = {strides: np.array(some, np.float32) for strides, some in found.items()}
    return Built(
        choices=choices,
        aurocs={strides: auroc(labels, some) for strides, some in scores.items()},
        strides=decided(labels, scores),
        seconds=time.perf_counter() - started,
    )


def decided(labels: Flags, scores: Mapping[tuple[int, ...], Floats]) -> tuple[int, ...]:
    """The strides that rank best of those that beat USUAL beyond chance; USUAL where none does."""
    beside = {strides: paired(labels, some, scores[USUAL]) for strides, some in scores.items()}
    better = [strides for strides, one in beside.items() if one.low > 0]
    return max(better, key=lambda strides: beside[strides].one, default=USUAL)


def remembered(
    features: Features, kept: Sequence[Item], spec: InputSpec, seed: int, stages: Stages = SILENT
) -> dict[tuple[int, ...], Yardstick]:
    """A memory of good pictures for each of CHOICES, all from one look at each tile."""
    rng = torch.Generator().manual_seed(seed)
    share = -(-COVERED // len(kept))  # patches of each picture
    found: dict[tuple[int, ...], list[list[Tensor]]] = {strides: [] for strides in CHOICES}
    for item in stages.over(kept, "looking at good parts"):
        looks = [look(features, tile) for tile in cut_tiles(picture_of(item, spec), spec)[0]]
        for strides, some in found.items():
            by_tile = [rows_of(levels(seen, strides))[0] for seen in looks]
            rows = [torch.cat(level) for level in zip(*by_tile, strict=True)]
            drawn = torch.randperm(len(rows[0]), generator=rng)[:share]
            some.append([level[drawn] for level in rows])
    return {
        strides: Yardstick(
            features=features,
            strides=strides,
            memory=remember([torch.cat(level) for level in zip(*some, strict=True)], KEPT, rng, stages),
        )
        for strides, some in found.items()
    }


def look(features: Features, tile: Pixels) -> Look:
    """What the frozen features make of a uint8 tile (H, W, C): a level (1, c, h, w) for each stage."""
    with torch.no_grad():
        found = features(to_images(tile[None]).expand(-1, 3, -1, -1))
    return dict(zip(LOOKED_AT, found, strict=True))


def levels(seen: Look, strides: Sequence[int]) -> list[Tensor]:
    """Those of these strides, the finest first."""
    return [seen[stage] for stride in strides for stage in STAGES[stride]]

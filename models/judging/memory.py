"""A memory of good patches, nothing trained: PatchCore (arXiv 2106.08265) on the student's features.

    f_l      = (avg3(phi_l) - mu_l) W_l / sqrt(c_l)     W_l whitens level l on good patches, c_l channels
    P        = [f_l for l in levels]                    on the finest level's grid
    M        = greedy k-centre of random good patches   distances in a random projection to 128 dimensions
    d(p)     = min over m in M of |p - m|
    score    = (1 - exp |p* - m*| / sum over m in N_b(m*) of exp |p* - m|) d(p*)     eq. 7, p* = argmax d

What we changed. EfficientNet-Lite0 stands in for WideResNet-50; levels are whitened, because a few loud
channels decide else (models/README.md has the figures); N_b(m*) holds m* itself, and b = 9, which the paper
leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.parts.whitening import Whitening, whiten
from models.stages import SILENT, Stages

PROJECTED = 128  # dimensions of the distances between patches
NEIGHBOURS = 9  # b in eq. 7


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Good patches to hold others against, and how patches are made of a picture's levels."""

    whitenings: tuple[Whitening, ...]  # of each level
    patches: Tensor  # (K, C)

    def judge(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """A picture's cells, (P, c) of each level, to the distance of each, (P,), and the picture's score."""
        patches = joined(rows, self.whitenings)
        near = nearest(patches, self.patches, 1)[:, 0]
        distance = (patches - self.patches[near]).norm(dim=1)
        worst = distance.argmax()
        around = nearest(self.patches[near[worst]][None], self.patches, NEIGHBOURS)[0]
        distances = (patches[worst] - self.patches[around]).norm(dim=1)  # the first is m* itself
        return distance, (1 - distances.softmax(0)[0]) * distance[worst]


def remember(rows: Sequence[Tensor], kept: int, rng: torch.Generator, stages: Stages = SILENT) -> Memory:
    """The memory of good cells, (P, c) of each level; it keeps `kept` of them, or all that there are."""
    whitenings = tuple(whiten(level) for level in rows)
    patches = joined(rows, whitenings)
    if len(patches) > kept:
        patches = patches[coreset(patches, kept, rng, stages)]
    return Memory(whitenings=whitenings, patches=patches)


def rows_of(levels: Sequence[Tensor]) -> tuple[list[Tensor], tuple[int, int]]:
    """Levels (1, c, h, w), the finest first, to cells (h w, c) on its grid (h, w), averaged 3 x 3."""
    height, width = levels[0].shape[2:]
    found = []
    for level in levels:
        near = F.avg_pool2d(level, 3, stride=1, padding=1, count_include_pad=False)
        if near.shape[2:] != (height, width):
            near = F.interpolate(near, size=(height, width), mode="bilinear")
        found.append(near[0].flatten(1).T)
    return found, (height, width)


def joined(rows: Sequence[Tensor], whitenings: Sequence[Whitening]) -> Tensor:
    """Cells, (P, c) of each level, to patches (P, C)."""
    return torch.cat([one.of(level) for one, level in zip(whitenings, rows, strict=True)], 1)


def coreset(patches: Tensor, count: int, rng: torch.Generator, stages: Stages = SILENT) -> Tensor:
    """Indices of `count` patches of (P, C), each the farthest from all that were chosen before it."""
    projection = torch.randn(patches.shape[1], PROJECTED, generator=rng) / PROJECTED**0.5
    # (PROJECTED, P), because rows of (P, PROJECTED) would make every step three times as slow.
    points = projection.T @ patches.T
    squares = points.square().sum(0)
    uncovered = torch.full_like(squares, torch.inf)  # squared distance to the nearest chosen one
    last = int(torch.randint(len(patches), (), generator=rng))
    chosen = [last]
    for _ in stages.over(range(1, count), "choosing patches to keep"):
        to_last = squares + squares[last] - 2 * (points[:, last] @ points)
        torch.minimum(uncovered, to_last, out=uncovered)
        uncovered[last] = -torch.inf
        last = int(uncovered.argmax())
        chosen.append(last)
    return torch.tensor(chosen)


def nearest(patches: Tensor, memory: Tensor, count: int) -> Tensor:
    """Indices (P, count) into memory (K, C) of each patch's nearest, nearest first."""
    ranking = torch.addmm(memory.square().sum(1), patches, memory.T, alpha=-2)  # |p - m|^2 less |p|^2
    return ranking.topk(min(count, len(memory)), dim=1, largest=False).indices

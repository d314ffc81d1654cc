"""The yardstick of every evaluation: a memory of good patches, nothing trained (PatchCore, arXiv 2106.08265).

    P        = [avg3(phi_8), grow(avg3(phi_16))]        a patch: frozen features at strides 8 and 16, one grid
    M        = greedy k-centre of random good patches   distances in a random projection to 128 dimensions
    d(p)     = min over m in M of |p - m|
    score    = (1 - exp |p* - m*| / sum over m in N_b(m*) of exp |p* - m|) d(p*)     eq. 7, p* = argmax d
    map      = blur(grow(d))                            sigma 4 at 256 px

What we changed. EfficientNet-Lite0 stands in for WideResNet-50, at the same middle levels; its channels are
concatenated as they are; at most 100,000 random patches are covered, of which a tenth is kept. N_b(m*) holds
m* itself, and b = 9, which the paper leaves open. Its accuracy (MVTec-AD image AUROC 99.0 with a tenth of
all patches) is not claimed for ours: models/README.md has the measured figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from agent.engines.engine import Answer
from agent.messages import Pixels
from models.data.batches import to_images
from models.parts.features import STRIDES, Features, load_features
from models.parts.maps import Blur
from models.stages import SILENT, Stages

STAGES = (2, 4)  # of EfficientNet-Lite0: strides 8 and 16
COVERED = 100_000  # patches, drawn at random, that the memory must stand for
SHARE = 0.1  # of them is kept
PROJECTED = 128  # dimensions of the distances between them
NEIGHBOURS = 9  # b in eq. 7
BLUR = 4 / 256  # sigma over the tile's side


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """Good patches to hold others against; judges tiles as an engine does."""

    features: Features
    memory: Tensor  # (K, C)

    def inspect(self, tiles: Pixels) -> Answer:
        """Judge uint8 tiles (N, H, W, C), each on its own. Nothing is restored: they come back as is."""
        smooth = Blur(BLUR * tiles.shape[1])
        maps, scores = [], []
        with torch.no_grad():
            for tile in tiles:
                patches = embed(self.features, tile[None])  # (1, C, h, w)
                distance, score = self.judge(patches[0].flatten(1).T)
                grid = distance.view(1, 1, *patches.shape[2:])
                maps.append(smooth(F.interpolate(grid, size=tile.shape[:2], mode="bilinear"))[0, 0])
                scores.append(score)
        return Answer(scores=torch.stack(scores).numpy(), maps=torch.stack(maps).numpy(), restored=tiles)

    def judge(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patches (P, C) of one tile to the distance of each, (P,), and the tile's score."""
        nearest = _nearest(patches, self.memory, 1)[:, 0]
        distance = (patches - self.memory[nearest]).norm(dim=1)
        worst = distance.argmax()
        around = _nearest(self.memory[nearest[worst]][None], self.memory, NEIGHBOURS)[0]
        distances = (patches[worst] - self.memory[around]).norm(dim=1)  # the first is m* itself
        return distance, (1 - distances.softmax(0)[0]) * distance[worst]


def build_memory(tiles: Pixels, seed: int, stages: Stages = SILENT) -> Yardstick:
    """A yardstick from good tiles (N, H, W, C); equal seeds give equal ones. Raises WeightsError."""
    rng = torch.Generator().manual_seed(seed)
    features = load_features(STAGES)
    cells = (tiles.shape[1] // STRIDES[STAGES[0]]) * (tiles.shape[2] // STRIDES[STAGES[0]])
    drawn = torch.zeros(len(tiles) * cells, dtype=torch.bool)
    drawn[torch.randperm(len(drawn), generator=rng)[:COVERED]] = True
    found = []
    with torch.no_grad():
        pairs = list(zip(tiles, drawn.view(len(tiles), cells), strict=True))
        for tile, chosen in stages.over(pairs, "looking at good patches"):
            found.append(embed(features, tile[None])[0].flatten(1).T[chosen])
        patches = torch.cat(found)  # (<= COVERED, C)
        return Yardstick(features=features, memory=patches[coreset(patches, SHARE, rng, stages)])


def embed(features: Features, tiles: Pixels) -> Tensor:
    """Tiles (N, H, W, C) to patches (N, c, H / 8, W / 8): levels averaged 3 x 3, on the finest's grid."""
    levels = [
        F.avg_pool2d(level, 3, stride=1, padding=1, count_include_pad=False)
        for level in features(to_images(tiles).expand(-1, 3, -1, -1))
    ]
    grid = levels[0].shape[2:]
    return torch.cat([F.interpolate(level, size=grid, mode="bilinear") for level in levels], 1)


def coreset(patches: Tensor, share: float, rng: torch.Generator, stages: Stages = SILENT) -> Tensor:
    """Indices of a share of the patches (P, C), each the farthest from all that were chosen before it."""
    projection = torch.randn(patches.shape[1], PROJECTED, generator=rng) / PROJECTED**0.5
    # (PROJECTED, P), because rows of (P, PROJECTED) would make every step three times as slow.
    points = projection.T @ patches.T
    squares = points.square().sum(0)
    uncovered = torch.full_like(squares, torch.inf)  # squared distance to the nearest chosen one
    last = int(torch.randint(len(patches), (), generator=rng))
    chosen = [last]
    for _ in stages.over(range(1, max(NEIGHBOURS, round(share * len(patches)))), "choosing patches to keep"):
        to_last = squares + squares[last] - 2 * (points[:, last] @ points)
        torch.minimum(uncovered, to_last, out=uncovered)
        uncovered[last] = -torch.inf
        last = int(uncovered.argmax())
        chosen.append(last)
    return torch.tensor(chosen)


def _nearest(patches: Tensor, memory: Tensor, count: int) -> Tensor:
    """Indices (P, count) into memory (K, C) of each patch's nearest, nearest first."""
    ranking = torch.addmm(memory.square().sum(1), patches, memory.T, alpha=-2)  # |p - m|^2 less |p|^2
    return ranking.topk(count, dim=1, largest=False).indices

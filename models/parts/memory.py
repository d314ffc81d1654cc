"""A memory of good parts as a layer: how far a cell's features are from the nearest of a few prototypes.

    z(p)   = W (avg3(phi)(p) - mu)                     W whitens phi on good cells; |z| is about 1 there
    d(p)^2 = |z(p)|^2 + min_k (|c_k|^2 - 2 c_k z(p))   c_k: k-means of good cells
    out    = log max(d, nearest)                       nearest: what says nothing more

Both products are 1x1 convolutions, so that every engine has them. Nothing here is trained by gradients.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.whitening import whiten

NEAREST = 0.05  # at least; the logarithm of less would be noise
ROUNDS = 10  # of k-means
BEYOND_ROUGH = 3  # times what half precision usually errs by: within that a distance says nothing


class Memory(nn.Module):
    """Features (B, c, h, w) to the logarithm of their distance from good ones, (B, 1, h, w)."""

    nearest: Tensor

    def __init__(self, channels: int, prototypes: int) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(channels, channels, 1)
        self.toward = nn.Conv2d(channels, prototypes, 1)
        self.register_buffer("nearest", torch.tensor(NEAREST))
        self.requires_grad_(False)

    def forward(self, level: Tensor) -> Tensor:
        z = self.whiten(neighbourhoods(level))
        square = z.square().sum(1, keepdim=True) + self.toward(z).amin(1, keepdim=True)
        least = self.nearest.square()
        return (F.relu(square - least) + least).log() / 2

    def fit(self, cells: Tensor, apart: Tensor, rng: np.random.Generator) -> None:
        """Remember good cells (P, c), as `neighbourhoods` gives them.

        `apart` (R, c) is by how much half precision errs in some. Raises ValueError for fewer cells than
        prototypes.
        """
        count = self.toward.out_channels
        if len(cells) < count:
            raise ValueError(f"{len(cells)} cells of good parts for {count} prototypes")
        # As it ships: what is rounded only later would no longer be the distance that the three terms make.
        exact = whiten(cells)
        whitening = replace(exact, turn=exact.turn.half().float())
        prototypes = clustered(whitening.of(cells), count, rng).half().float()
        turn = whitening.turn.T
        turned, square = self.whiten.bias, self.toward.bias
        assert turned is not None and square is not None
        self.whiten.weight.copy_(turn[:, :, None, None])
        turned.copy_(-turn @ whitening.middle)
        self.toward.weight.copy_(-2 * prototypes[:, :, None, None])
        square.copy_(prototypes.square().sum(1))
        noise = (apart @ whitening.turn).square().sum(1).mean().sqrt()
        self.nearest.copy_((BEYOND_ROUGH * noise).clamp_min(NEAREST))


def neighbourhoods(level: Tensor) -> Tensor:
    """Each cell with those around it, 3 x 3, as far as there are any."""
    return F.avg_pool2d(level, 3, stride=1, padding=1, count_include_pad=False)


def clustered(points: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """The middles (count, c) of `count` clusters of points (P, c), at least as many."""
    chosen = points[torch.from_numpy(rng.choice(len(points), count, replace=False))]
    nearest = torch.cdist(points, chosen).argmin(1).int().numpy()
    rounds = (cv2.TERM_CRITERIA_MAX_ITER, ROUNDS, 0.0)
    flags = cv2.KMEANS_USE_INITIAL_LABELS
    _, _, middles = cv2.kmeans(points.numpy(), count, nearest, rounds, 1, flags)
    return torch.from_numpy(middles)

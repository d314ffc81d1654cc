"""Anomaly maps: distances, fusion, blur and the score of a map. All (B, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos over channels, (B, C, H, W) twice to (B, 1, H, W); safe in half precision."""
    a = a / (a.square().sum(1, keepdim=True) + 1e-6).sqrt()
    b = b / (b.square().sum(1, keepdim=True) + 1e-6).sqrt()
    return 1 - (a * b).sum(1, keepdim=True)


def geometric_mean(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(a b): evidence that both maps agree on."""
    return (a.clamp_min(0) * b.clamp_min(0)).sqrt()


def top_mean(maps: Tensor, count: int) -> Tensor:
    """Mean of the `count` largest pixels, (B, 1, H, W) to (B,)."""
    return maps.flatten(1).topk(count, dim=1).values.mean(1)


class Blur(nn.Module):
    """Gaussian blur with fixed weights, replicate border, truncated at three sigma."""

    row: Tensor

    def __init__(self, sigma_px: float) -> None:
        super().__init__()
        self.radius = max(1, math.ceil(3 * sigma_px))
        offsets = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32)
        weights = torch.exp(-offsets.square() / (2 * sigma_px**2))
        self.register_buffer("row", (weights / weights.sum()).view(1, 1, 1, -1))

    def forward(self, maps: Tensor) -> Tensor:
        r = self.radius
        maps = F.conv2d(F.pad(maps, (r, r, 0, 0), mode="replicate"), self.row)
        return F.conv2d(F.pad(maps, (0, 0, r, r), mode="replicate"), self.row.transpose(2, 3))

"""Anomaly maps: distances, fusion, blur and the score of a map. All (B, C, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos over channels, (B, C, H, W) twice to (B, 1, H, W); safe in half precision."""
    return 1 - (unit(a) * unit(b)).sum(1, keepdim=True)


def nearest_distance(a: Tensor, b: Tensor) -> Tensor:
    """Each position of a against its best match anywhere in b, (B, C, H, W) twice to (B, 1, H, W).

    1 - max over q of cos(a_p, b_q); swap the arguments for the reverse direction. One picture at a time,
    for all pairs of 64 x 64 positions take 64 MB.
    """
    height, width = a.shape[-2:]
    a, b = (unit(one.float()).flatten(2) for one in (a, b))
    nearest = [(one.T @ other).amax(1) for one, other in zip(a, b, strict=True)]
    return 1 - torch.stack(nearest).view(-1, 1, height, width)


def nearby_distance(a: Tensor, b: Tensor) -> Tensor:
    """As `nearest_distance`, with matches from the 3 x 3 window around the same position only."""
    height, width = a.shape[-2:]
    a, b = unit(a.float()), F.pad(unit(b.float()), (1, 1, 1, 1), mode="replicate")
    cosines = [
        (a * b[..., row : row + height, column : column + width]).sum(1, keepdim=True)
        for row in range(3)
        for column in range(3)
    ]
    return 1 - torch.cat(cosines, 1).amax(1, keepdim=True)


def unit(a: Tensor) -> Tensor:
    """Divided by its length over channels; safe in half precision and for nothing at all."""
    return a / (a.square().sum(1, keepdim=True) + 1e-6).sqrt()


def geometric_mean(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(a b): evidence that both maps agree on."""
    return (a.clamp_min(0) * b.clamp_min(0)).sqrt()


def top_mean(maps: Tensor, count: int) -> Tensor:
    """Mean of the `count` largest pixels, (B, 1, H, W) to (B,)."""
    return maps.flatten(1).topk(count, dim=1).values.mean(1)


def prominence(maps: Tensor, radius: int, fall: float) -> Tensor:
    """1 where maps (B, 1, H, W) are as large as anywhere within `radius` pixels, 0 where `fall` less."""
    window = 2 * radius + 1
    largest = F.max_pool2d(maps, (1, window), stride=1, padding=(0, radius))
    largest = F.max_pool2d(largest, (window, 1), stride=1, padding=(radius, 0))
    return (1 - (largest - maps) / fall).clamp(0, 1)


def percentile(values: Tensor, share: float) -> Tensor:
    """The value that `share` of all values do not exceed."""
    flat = values.flatten()
    return flat.float().kthvalue(max(1, round(share * flat.numel()))).values


class Blur(nn.Module):
    """Gaussian blur with fixed weights, mirrored at the border, truncated at three sigma.

    Repeating the border's pixels instead would count one in a corner for a quarter of the neighbourhood. Maps
    must be wider than three sigma.
    """

    row: Tensor

    def __init__(self, sigma_px: float) -> None:
        super().__init__()
        self.radius = max(1, math.ceil(3 * sigma_px))
        offsets = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32)
        weights = torch.exp(-offsets.square() / (2 * sigma_px**2))
        self.register_buffer("row", (weights / weights.sum()).view(1, 1, 1, -1))

    def forward(self, maps: Tensor) -> Tensor:
        r = self.radius
        maps = F.conv2d(F.pad(maps, (r, r, 0, 0), mode="reflect"), self.row)
        return F.conv2d(F.pad(maps, (0, 0, r, r), mode="reflect"), self.row.transpose(2, 3))

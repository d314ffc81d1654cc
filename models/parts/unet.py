"""The teachers' U-Net: GroupNorm, SiLU, FiLM embedding of time and product, no attention."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UNet(nn.Module):
    """(B, channels, H, W) and t (B,) to (B, outputs, H, W); an untrained one answers zero.

    H and W must be divisible by 2 ** (len(widths) - 1). `encode` and `decode` are its halves, for methods
    that do something at the bottleneck. With `shared`, for answers that are noise, a learned share g(t) x is
    added, one for each channel: without it all of the noise would have to pass through the narrow layers.
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        *,
        outputs: int | None = None,  # default: channels
        products: int = 1,
        shared: bool = False,
        time_width: int = 64,
    ) -> None:
        super().__init__()
        embedded = 4 * time_width
        self.time = nn.Sequential(nn.Linear(time_width, embedded), nn.SiLU(), nn.Linear(embedded, embedded))
        self.time_width = time_width
        self.products = nn.Embedding(products, embedded)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(Block(a, a, embedded) for a, _ in pairs)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.middle = nn.ModuleList(Block(widths[-1], widths[-1], embedded) for _ in range(2))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in reversed(pairs))
        self.up = nn.ModuleList(Block(2 * a, a, embedded) for a, _ in reversed(pairs))
        self.head_norm = nn.GroupNorm(8, widths[0])
        self.head = nn.Conv2d(widths[0], outputs or channels, 3, padding=1)
        self.share = nn.Linear(embedded, channels) if shared else None
        for parameter in (*self.head.parameters(), *self.products.parameters()):
            nn.init.zeros_(parameter)
        if self.share is not None:
            nn.init.zeros_(self.share.weight)
            nn.init.zeros_(self.share.bias)

    def forward(self, x: Tensor, t: Tensor, products: Tensor | None = None) -> Tensor:
        """`products` (B,) indices; -1, or None for all, stands for an unknown product."""
        embedding = self.embed(x, t, products)
        answer = self.decode(*self.encode(x, embedding), embedding)
        if self.share is None:
            return answer
        share: Tensor = self.share(embedding)
        return answer + share[:, :, None, None] * x

    def embed(self, x: Tensor, t: Tensor, products: Tensor | None = None) -> Tensor:
        """What steers every block, (B, 4 * time_width)."""
        embedding: Tensor = self.time(sinusoid(t.to(x.device), self.time_width).to(x.dtype))
        if products is None:
            return embedding
        products = products.to(x.device)
        named = (products >= 0).to(embedding.dtype)[:, None]
        steered: Tensor = embedding + named * self.products(products.clamp_min(0))
        return steered

    def encode(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The bottleneck (B, widths[-1], h, w) and one skip for each level above it, finest first."""
        x = self.stem(x)
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = block(x, embedding)
            skips.append(x)
            x = shrink(x)
        for block in self.middle:
            x = block(x, embedding)
        return x, skips

    def decode(self, x: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        for grow, block, skip in zip(self.grow, self.up, reversed(skips), strict=True):
            x = grow(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = block(torch.cat([x, skip], 1), embedding)
        answer: Tensor = self.head(F.silu(self.head_norm(x)))
        return answer


class Block(nn.Module):
    """Residual block; time scales and shifts the second norm."""

    def __init__(self, inputs: int, outputs: int, time_width: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(8, inputs)
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(time_width, 2 * outputs)
        self.norm_out = nn.GroupNorm(8, outputs)
        self.conv_out = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv_in(F.silu(self.norm_in(x)))
        scale, shift = self.film(F.silu(embedding))[:, :, None, None].chunk(2, 1)
        h = self.conv_out(F.silu(self.norm_out(h) * (1 + scale) + shift))
        out: Tensor = self.skip(x) + h
        return out


def sinusoid(t: Tensor, width: int) -> Tensor:
    """cos and sin of t at frequencies 10000^(-k / half), (B,) to (B, width)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], 1)

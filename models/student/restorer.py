"""What restores a tile in one pass: which cells deviate from good parts, and what should be there instead.

    restored z = z - g (z - fill - detail)        g in 0..1 where the tile deviates, 0 elsewhere

As DeCo-Diff corrects latents only where they deviate. What the surroundings say fills the place (`fill`),
the network adds what they cannot know (`detail`). It judges by frozen features of the tile beside the
latents. Without gate and filling it learns to give back what it sees, defect and all (DECISIONS.md).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from models.student.layers import conv_bn_relu, double, twice

SHUT = -4.0  # the gate's logit before any training


class Restorer(nn.Module):
    """Latents (B, channels, h, w) and features on its grids to `forward`'s three.

    An untrained one changes nothing.
    `seen` are the channels of the features at the latents' stride and at each of the halved grids.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], seen: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        told = [width // 2 for width in widths]  # channels of what the features tell
        grids = zip(seen, told, strict=False)  # the coarsest are not seen where there are fewer widths
        self.tell = nn.ModuleList(conv_bn_relu(one, other, kernel=1) for one, other in grids)
        self.stem = conv_bn_relu(channels + told[0], widths[0])
        joined = [0, *told[1:]]
        self.down = nn.ModuleList(
            double(width + more, width) for width, more in zip(widths[:-1], joined[:-1], strict=True)
        )
        self.shrink = nn.ModuleList(conv_bn_relu(a, b, stride=2) for a, b in pairs)
        self.middle = double(widths[-1] + joined[-1], widths[-1])
        self.grow = nn.ModuleList(conv_bn_relu(b, a) for a, b in reversed(pairs))
        self.up = nn.ModuleList(double(2 * a, a) for a, _ in reversed(pairs))
        self.detail = nn.Conv2d(widths[0], channels, 3, padding=1)
        self.deviates = nn.Conv2d(widths[0], 1, 3, padding=1)
        for last, bias in ((self.detail, 0.0), (self.deviates, SHUT)):
            assert last.bias is not None
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, bias)

    def forward(self, z: Tensor, seen: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Detail, shape of z; the logit of a deviation (B, 1, h, w); the last layer (B, widths[0], h, w)."""
        told = [tell(level) for tell, level in zip(self.tell, seen, strict=False)]
        x = self.stem(torch.cat([z, told[0]], 1))
        skips = []
        for block, shrink, more in zip(self.down, self.shrink, told[1:], strict=True):
            x = block(x)
            skips.append(x)
            x = torch.cat([shrink(x), more], 1)
        x = self.middle(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = grow(twice(x))
            x = block(torch.cat([x, skips.pop()], 1))
        return self.detail(x), self.deviates(x), x


def gate(deviates: Tensor) -> Tensor:
    """How much of a cell is replaced, 0..1, from its logit: wholly from 2 on, since what leaks is defect."""
    return (0.5 + deviates / 4).clamp(0, 1)

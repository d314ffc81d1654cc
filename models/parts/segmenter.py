"""DRAEM's discriminative U-Net (Zavrtanik et al. 2021): where two pictures differ for a defect's sake."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.codec import space_to_depth


class Segmenter(nn.Module):
    """(B, channels, H, W) to one defect logit for each pixel, (B, 1, H, W).

    `stride` moves the work to a coarser grid: pixels go in unshuffled, logits come out shuffled back. 1 and
    widths (64, 128, 256, 512, 512, 512) are the published form. There are at least two widths; H and W must
    be divisible by stride * 2 ** (len(widths) - 1).
    """

    def __init__(self, channels: int, widths: tuple[int, ...], *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        inputs = (channels * stride**2, *widths[:-1])
        # Coming up, each level takes the width of the level above it already before its skip is joined.
        grown = (widths[0], *widths[:-2])
        below = (*grown[1:], widths[-1])
        self.down = nn.ModuleList(double(a, b) for a, b in zip(inputs, widths, strict=True))
        self.grow = nn.ModuleList(conv_bn_relu(a, b) for a, b in reversed([*zip(below, grown, strict=True)]))
        self.up = nn.ModuleList(
            double(a + b, b) for a, b in reversed([*zip(widths[:-1], grown, strict=True)])
        )
        self.head = nn.Conv2d(widths[0], stride**2, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = space_to_depth(pictures, self.stride)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for grow, block in zip(self.grow, self.up, strict=True):
            x = grow(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))
            x = block(torch.cat([x, skips.pop()], 1))
        return F.pixel_shuffle(self.head(x), self.stride)


def conv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, outputs), conv_bn_relu(outputs, outputs))

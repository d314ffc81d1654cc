"""What finds the defect, from the tile and its restoration side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.student.layers import conv_bn_relu, twice


class Finder(nn.Module):
    """What differs between input and restoration, to the logits `mask` and `taught` (B, 2, H / 4, W / 4)."""

    def __init__(self, channels: int, hidden: int, seen: tuple[int, ...], widths: tuple[int, ...]) -> None:
        """`seen` are the channels of the features at strides 4, 8, 16 and 32."""
        super().__init__()
        fine, middle, coarse, around = seen
        self.around = conv_bn_relu(around, widths[2], kernel=1)
        self.coarse = conv_bn_relu(widths[2] + 2 * coarse, widths[2])
        self.middle = conv_bn_relu(widths[2] + 2 * middle + hidden, widths[1])
        self.fine = conv_bn_relu(widths[1] + 2 * fine + 2 * channels * 16, widths[0])
        self.last = conv_bn_relu(widths[0], widths[0])
        self.logits = nn.Conv2d(widths[0], 2, 1)

    def forward(
        self, seen: list[Tensor], differences: list[Tensor], hidden: Tensor, pixels: Tensor
    ) -> Tensor:
        """Features of the input at strides 4, 8, 16 and 32, and their distance from the restoration's at the
        first three; the restorer's hidden layer at 8; input and residual unshuffled, at 4.
        """
        x = twice(self.around(seen[3]))
        x = self.coarse(torch.cat([x, seen[2], differences[2]], 1))
        x = self.middle(torch.cat([twice(x), seen[1], differences[1], hidden], 1))
        x = self.fine(torch.cat([twice(x), seen[0], differences[0], pixels], 1))
        logits: Tensor = self.logits(self.last(x))
        return logits

"""The student's building stones: only what every engine folds and fuses."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Post-activation, so that every BatchNorm folds into its convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, outputs), conv_bn_relu(outputs, outputs))


def grown(maps: Tensor, factor: float) -> Tensor:
    """Bilinear, by a factor and not to a size, so that the graph needs no shape arithmetic."""
    return maps if factor == 1 else F.interpolate(maps, scale_factor=factor, mode="bilinear")


def twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")

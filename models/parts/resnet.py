"""ResNet-50 as a frozen feature pyramid through `transformers`, for the published preset of DiAD.

He et al. 2016: stages 1 to 3 give 256, 512 and 1024 channels at strides 4, 8 and 16; the rest is cut off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.parts.weights import WeightsError, load_folder

STAGES = 3
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ResNetFeatures(nn.Module):
    """RGB (B, 3, H, W) in [-1, 1] to one map per stage, (B, c, H / stride, W / stride)."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.embedder = net.embedder
        self.stages = nn.ModuleList(net.encoder.stages[:STAGES])
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.embedder(((images + 1) / 2 - self.mean) / self.std)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


def load_resnet50(path: Path) -> ResNetFeatures:
    """The frozen pyramid of a `transformers` ResNet folder (config.json and model.safetensors).

    Raises WeightsError saying what to download when the folder has none, or not all; pickles are not read.
    """
    remedy = (
        "download the folder of microsoft/resnet-50 (config.json and model.safetensors) "
        f"as {path.name} into the folder given with --weights"
    )
    absent = [name for name in ("config.json", "model.safetensors") if not (path / name).is_file()]
    if absent:
        raise WeightsError(f"{path}: no {' and no '.join(absent)} of a ResNet; {remedy}")
    from transformers import ResNetForImageClassification

    net = load_folder(ResNetForImageClassification, path, remedy)
    return ResNetFeatures(net.resnet).eval().requires_grad_(False)


def untrained_resnet50() -> ResNetFeatures:
    """The published pyramid without its weights, 8.54 M parameters."""
    from transformers import ResNetConfig, ResNetModel

    return ResNetFeatures(ResNetModel(ResNetConfig()))

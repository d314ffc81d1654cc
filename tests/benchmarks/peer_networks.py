"""Networks of the shape of published detectors, untrained: speed does not depend on weights.

Each takes images (B, 3, 256, 256) and gives (score, map). Our own definitions after the papers' tables;
accuracy is not claimed.

    PatchMemory   the idea of models/judging/yardstick.py: EfficientNet-Lite0 patches against 10,000 of them
    EfficientAd   EfficientAD-S (arXiv 2303.14535, tables 5 to 7): PDN-S teacher and student, autoencoder
    Reverse       RD4AD (arXiv 2201.10703): WideResNet-50-2 encoder, bottleneck embedding, mirrored decoder
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.features import Features

REMEMBERED = 10_000
SIDE_PX = 256


class PatchMemory(nn.Module):
    memory: Tensor
    squares: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = Features((2, 4))
        memory = torch.randn(REMEMBERED, 40 + 112)
        self.register_buffer("memory", memory.T.contiguous())
        self.register_buffer("squares", memory.square().sum(1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        fine, coarse = (
            F.avg_pool2d(level, 3, stride=1, padding=1, count_include_pad=False)
            for level in self.features(images)
        )
        patches = torch.cat([fine, F.interpolate(coarse, scale_factor=2.0, mode="bilinear")], 1)
        rows = patches.flatten(2).transpose(1, 2)  # (B, P, C)
        nearest = (self.squares - 2 * rows @ self.memory).amin(2) + rows.square().sum(2)
        side = SIDE_PX // 8
        grid = nearest.clamp_min(0).sqrt().view(-1, 1, side, side)
        return grid.amax((1, 2, 3)), F.interpolate(grid, scale_factor=8.0, mode="bilinear")


class EfficientAd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.teacher, self.student = patch_description(384), patch_description(768)
        widths = (3, 32, 32, 64, 64, 64)
        encoder: list[nn.Module] = []
        for index in range(5):
            encoder += [nn.Conv2d(widths[index], widths[index + 1], 4, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(64, 64, 8))
        self.grow = nn.ModuleList(nn.Conv2d(64, 64, 4, padding=2) for _ in range(7))
        self.last = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 384, 3, padding=1)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        teacher, student = self.teacher(images), self.student(images)
        x = self.encoder(images)
        for side, convolution in zip((3, 8, 15, 32, 63, 127, 56), self.grow, strict=True):
            x = F.relu(convolution(F.interpolate(x, size=(side, side), mode="bilinear")))
        x = F.interpolate(self.last(x), size=(56, 56), mode="bilinear")
        local = (teacher - student[:, :384]).square().mean(1, keepdim=True)
        whole = (x - student[:, 384:]).square().mean(1, keepdim=True)
        grid = (local + whole) / 2
        return grid.amax((1, 2, 3)), F.interpolate(grid, size=(SIDE_PX, SIDE_PX), mode="bilinear")


def patch_description(outputs: int) -> nn.Sequential:
    """PDN-S: (B, 3, 256, 256) to (B, outputs, 56, 56)."""
    return nn.Sequential(
        nn.Conv2d(3, 128, 4), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(128, 256, 4), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(256, 256, 3), nn.ReLU(),
        nn.Conv2d(256, outputs, 4),
    )  # fmt: skip


class Reverse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.encoder = nn.ModuleList([stage(64, 128, 3, 1), stage(256, 256, 4, 2), stage(512, 512, 6, 2)])
        self.fine = nn.Sequential(convolution(256, 512, 3, 2), convolution(512, 1024, 3, 2))
        self.middle = convolution(512, 1024, 3, 2)
        self.embedding = stage(3072, 1024, 3, 2)
        self.decoder = nn.ModuleList([growing(2048, 512, 3), growing(1024, 256, 4), growing(512, 128, 6)])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x, seen = self.stem(images), []
        for block in self.encoder:
            x = block(x)
            seen.append(x)
        x = self.embedding(torch.cat([self.fine(seen[0]), self.middle(seen[1]), seen[2]], 1))
        maps = []
        for block, other, factor in zip(self.decoder, reversed(seen), (16.0, 8.0, 4.0), strict=True):
            x = block(x)
            distance = 1 - F.cosine_similarity(x, other, dim=1)[:, None]
            maps.append(F.interpolate(distance, scale_factor=factor, mode="bilinear"))
        total = torch.stack(maps).sum(0)
        return total.amax((1, 2, 3)), total


class Bottleneck(nn.Module):
    """Inputs to 2 * width channels: the wide variant doubles the inner width of ResNet-50."""

    def __init__(self, inputs: int, width: int, stride: int, *, grows: bool = False) -> None:
        super().__init__()
        middle = (
            nn.Sequential(nn.ConvTranspose2d(width, width, 2, 2), nn.BatchNorm2d(width), nn.ReLU())
            if grows
            else convolution(width, width, 3, stride)
        )
        self.body = nn.Sequential(
            convolution(inputs, width, 1, 1),
            middle,
            nn.Conv2d(width, 2 * width, 1),
            nn.BatchNorm2d(2 * width),
        )
        self.skip: nn.Module = nn.Identity()
        if grows:
            self.skip = nn.Sequential(nn.ConvTranspose2d(inputs, 2 * width, 2, 2), nn.BatchNorm2d(2 * width))
        elif stride > 1 or inputs != 2 * width:
            self.skip = nn.Sequential(nn.Conv2d(inputs, 2 * width, 1, stride), nn.BatchNorm2d(2 * width))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


def stage(inputs: int, width: int, repeats: int, stride: int) -> nn.Sequential:
    rest = [Bottleneck(2 * width, width, 1) for _ in range(repeats - 1)]
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


def growing(inputs: int, width: int, repeats: int) -> nn.Sequential:
    rest = [Bottleneck(2 * width, width, 1) for _ in range(repeats - 1)]
    return nn.Sequential(Bottleneck(inputs, width, 1, grows=True), *rest)


def convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )

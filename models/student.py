"""The one-step student that ships: uint8 tiles in, score, map and restoration out.

One static pass: BatchNorm and ReLU, no attention, no noise, no timestep, nothing that depends on data.
Normalisation, features of input and restoration, distances, fusion, blur and top-k are all in here,
so the device does no model mathematics.

    z        = whitened pixel-unshuffle of the tile
    g, mask  = restorer(z)                      correction and defect logit on the latent grid
    restored = decode(z - g)
    e        = [mask, 1 - cos of features at strides 4, 8, 16, |restored - x|]
    map      = softplus(blur(sum_i w_i (e_i - mean_i) / spread_i))     mean, spread of good parts
    score    = mean of the largest map pixels
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.codec import Unshuffle
from models.parts.features import STRIDES, Features
from models.parts.maps import Blur, cosine_distance, top_mean

FEATURE_STAGES = (1, 2, 4)  # EfficientNet-Lite0 at strides 4, 8 and 16
EVIDENCE = ("mask", "stride_4", "stride_8", "stride_16", "pixels")


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: int = 1
    stride: int = 4  # pixels per latent cell and per map pixel
    widths: tuple[int, ...] = (48, 72, 96, 128)
    weights: tuple[float, ...] = (0.5, 0.1, 0.1, 0.1, 0.2)  # of EVIDENCE, summing to 1
    blur_px: float = 1.0  # sigma on the map's grid
    top: int = 64  # map pixels in the score


PRESETS: dict[str, Config] = {
    "nano": Config(widths=(16, 24), top=4),
    "edge": Config(),
    "paper": Config(channels=3, widths=(64, 96, 128, 160)),
}


class Restorer(nn.Module):
    """Latents (B, c, h, w) to their correction, same shape, and a defect logit (B, 1, h, w)."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.stem = conv_bn_relu(channels, widths[0])
        self.down = nn.ModuleList(double(width, width) for width in widths[:-1])
        self.shrink = nn.ModuleList(conv_bn_relu(a, b, stride=2) for a, b in pairs)
        self.middle = double(widths[-1], widths[-1])
        self.grow = nn.ModuleList(conv_bn_relu(b, a) for a, b in reversed(pairs))
        self.up = nn.ModuleList(double(2 * a, a) for a, _ in reversed(pairs))
        self.correction = nn.Conv2d(widths[0], channels, 3, padding=1)
        self.logit = nn.Sequential(conv_bn_relu(widths[0], widths[0]), nn.Conv2d(widths[0], 1, 1))
        for parameter in self.correction.parameters():
            nn.init.zeros_(parameter)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(z)
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = block(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = grow(F.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = block(torch.cat([x, skips.pop()], 1))
        return self.correction(x), self.logit(x)


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Post-activation, so that every BatchNorm folds into its convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, outputs), conv_bn_relu(outputs, outputs))


class Student(nn.Module):
    """The shipped graph. `forward` takes uint8 (N, H, W, C); see the file's docstring."""

    mean: Tensor
    spread: Tensor
    fusion: Tensor

    def __init__(self, config: Config, features: Features) -> None:
        super().__init__()
        self.config = config
        self.codec = Unshuffle(config.channels, config.stride)
        self.restorer = Restorer(config.channels * config.stride**2, config.widths)
        self.features = features
        self.blur = Blur(config.blur_px)
        self.register_buffer("mean", torch.zeros(len(EVIDENCE)))
        self.register_buffer("spread", torch.ones(len(EVIDENCE)))
        self.register_buffer("fusion", torch.tensor(config.weights), persistent=False)

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """score (N,), map (N, H / stride, W / stride), restored uint8 (N, H, W, C)."""
        # Cast before transpose: TensorRT has no uint8 transpose.
        x = tiles.float().permute(0, 3, 1, 2) / 127.5 - 1
        restored, evidence = self.evidence(x)
        standard = (evidence - self.mean.view(1, -1, 1, 1)) / self.spread.view(1, -1, 1, 1)
        maps = F.softplus(self.blur((standard * self.fusion.view(1, -1, 1, 1)).sum(1, keepdim=True)))
        pixels = ((restored + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)
        return top_mean(maps, self.config.top), maps.squeeze(1), pixels

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) to restorations and raw evidence (B, len(EVIDENCE), h, w)."""
        z = self.codec.encode(x)
        correction, logit = self.restorer(z)
        restored = self.codec.decode(z - correction).clamp(-1, 1)
        pyramid = self.features(torch.cat([x, restored]).expand(-1, 3, -1, -1))
        distances = [
            grown(cosine_distance(*halves(level)), STRIDES[stage] / self.config.stride)
            for level, stage in zip(pyramid, FEATURE_STAGES, strict=True)
        ]
        pixels = F.avg_pool2d((restored - x).abs().mean(1, keepdim=True), self.config.stride)
        return restored, torch.cat([logit, *distances, pixels], 1)


def grown(maps: Tensor, factor: float) -> Tensor:
    """Bilinear, by a factor and not to a size, so that the graph needs no shape arithmetic."""
    return maps if factor == 1 else F.interpolate(maps, scale_factor=factor, mode="bilinear")


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and second half of a batch; written out because the exporter freezes `chunk`'s sizes."""
    first, second = x.reshape(2, -1, *x.shape[1:]).unbind(0)
    return first, second

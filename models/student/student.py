"""The one-step student that ships: uint8 tiles in, score, map and restoration out.

One static pass: BatchNorm and ReLU, no attention, no noise, no timestep, nothing that depends on data.
Normalisation, features of input and restoration, distances, fusion, blur and top-k are all in here,
so the device does no model mathematics.

    z            = whitened pixel-unshuffle of the tile x
    restored     = decode(z - restorer(z))
    F            = frozen features at strides 4, 8, 16 of x and of restored
    mask, taught = finder(F, x, restored)       logits: a defect; what the teachers' maps showed
    e            = [mask, taught, log d_4, log d_8, log d_16, log pixels, log latents, m_5, m_6]
    d_l          = mean_c (F_lc(x) - F_lc(restored))^2 / good_lc     good_lc: the same on good parts
    m_s          = log distance of x from good parts in the features of stage s, at stride 32
    map          = softplus(blur(sum_i w_i (e_i - mean_i) / spread_i))     mean, spread of good parts

Distances count by their logarithm: on good parts they have a long tail, which would drown the finder. What is
restored and found is one half of the map, what a memory of good parts knows is the other (DECISIONS.md).
    score        = mean of the largest map pixels
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.codec import Unshuffle, space_to_depth
from models.parts.features import STAGES, STRIDES, Features, LaterFeatures
from models.parts.maps import Blur, top_mean
from models.parts.memory import Memory

FEATURE_STAGES = (1, 2, 4)  # EfficientNet-Lite0 at strides 4, 8 and 16
FEATURE_CHANNELS = tuple(STAGES[stage][5] for stage in FEATURE_STAGES)
REMEMBERED_STAGES = (5, 6)  # of the input alone, at stride 32
EVIDENCE = (
    *("mask", "taught", "stride_4", "stride_8", "stride_16", "pixels", "latents"),
    *(f"memory_{stage}" for stage in REMEMBERED_STAGES),
)
LEARNED = EVIDENCE[: -len(REMEMBERED_STAGES)]  # what restorer and finder, which were trained, have a part in
# Added to a distance from the restoration: the usual one, or a grey level. bf16 errs by less.
NEGLIGIBLE = (1.0, 1.0, 1.0, 1 / 127.5, 0.02)


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    channels: int = 1
    stride: int = 4  # pixels per map pixel
    latent_stride: int = 8  # pixels per latent cell
    widths: tuple[int, ...] = (64, 96, 128)  # of the restorer
    finder: tuple[int, ...] = (48, 64, 96)  # of the finder, at strides 4, 8 and 16
    prototypes: int = 512  # of good parts in each memory
    weights: tuple[float, ...] = (  # of EVIDENCE, summing to 1
        *(0.3, 0.05, 0.025, 0.025, 0.025, 0.05, 0.025),
        *(0.25, 0.25),
    )
    blur_px: float = 0.7  # sigma on the map's grid
    top: int = 32  # map pixels in the score


PRESETS: dict[str, StudentConfig] = {
    "nano": StudentConfig(widths=(16, 24), finder=(8, 12, 16), prototypes=8, top=4),
    "edge": StudentConfig(),
    "paper": StudentConfig(channels=3, widths=(96, 128, 160), finder=(64, 96, 128)),
}


class Restorer(nn.Module):
    """Latents (B, c, h, w) to their correction, same shape, and the last layer (B, widths[0], h, w)."""

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
        return self.correction(x), x


class Finder(nn.Module):
    """What differs between input and restoration, to the logits `mask` and `taught` (B, 2, H / 4, W / 4)."""

    def __init__(self, channels: int, hidden: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        fine, middle, coarse = FEATURE_CHANNELS
        self.coarse = conv_bn_relu(2 * coarse, widths[2])
        self.middle = conv_bn_relu(widths[2] + 2 * middle + hidden, widths[1])
        self.fine = conv_bn_relu(widths[1] + 2 * fine + 2 * channels * 16, widths[0])
        self.last = conv_bn_relu(widths[0], widths[0])
        self.logits = nn.Conv2d(widths[0], 2, 1)

    def forward(
        self, seen: list[Tensor], differences: list[Tensor], hidden: Tensor, pixels: Tensor
    ) -> Tensor:
        """All at strides 4, 8 and 16, in this order, with the hidden layer at 8 and the pixels at 4.

        Features of the input, their distance from the restoration's, the restorer's hidden layer, and input
        and residual unshuffled.
        """
        x = self.coarse(torch.cat([seen[2], differences[2]], 1))
        x = self.middle(torch.cat([_twice(x), seen[1], differences[1], hidden], 1))
        x = self.fine(torch.cat([_twice(x), seen[0], differences[0], pixels], 1))
        logits: Tensor = self.logits(self.last(x))
        return logits


class Student(nn.Module):
    """The shipped graph. `forward` takes uint8 (N, H, W, C); see the file's docstring."""

    mean: Tensor
    spread: Tensor
    negligible: Tensor
    fusion: Tensor

    def __init__(self, config: StudentConfig, features: Features, later: LaterFeatures) -> None:
        super().__init__()
        self.config = config
        self.codec = Unshuffle(config.channels, config.latent_stride)
        self.restorer = Restorer(config.channels * config.latent_stride**2, config.widths)
        self.finder = Finder(config.channels, config.widths[0], config.finder)
        self.features = features
        self.later = later
        self.memories = nn.ModuleList(
            Memory(STAGES[stage][5], config.prototypes) for stage in REMEMBERED_STAGES
        )
        self.blur = Blur(config.blur_px)
        for stage, channels in zip(FEATURE_STAGES, FEATURE_CHANNELS, strict=True):
            self.register_buffer(f"usual_{stage}", torch.ones(channels))
        self.register_buffer("mean", torch.zeros(len(EVIDENCE)))
        self.register_buffer("spread", torch.ones(len(EVIDENCE)))
        self.register_buffer("negligible", torch.tensor(NEGLIGIBLE).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("fusion", torch.tensor(config.weights), persistent=False)

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """score (N,), map (N, H / stride, W / stride), restored uint8 (N, H, W, C)."""
        score, maps, levels = self.judge(tiles)
        return score, maps, levels.to(torch.uint8)

    def judge(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, with the restoration still in float: torch-tensorrt makes no uint8 outputs."""
        # Cast before transpose: TensorRT has no uint8 transpose.
        x = tiles.float().permute(0, 3, 1, 2) / 127.5 - 1
        restored, evidence = self.evidence(x)
        maps = self.fuse(evidence, self.fusion)
        return top_mean(maps, self.config.top), maps.squeeze(1), to_levels(restored)

    def weights_of(self, names: Collection[str]) -> Tensor:
        """The fusion weights of these kinds of evidence alone, summing to 1."""
        chosen = (
            torch.tensor([float(name in names) for name in EVIDENCE], device=self.fusion.device) * self.fusion
        )
        return chosen / chosen.sum()

    def fuse(self, evidence: Tensor, weights: Tensor) -> Tensor:
        """Raw evidence to the map (B, 1, h, w)."""
        standard = (evidence - self.mean.view(1, -1, 1, 1)) / self.spread.view(1, -1, 1, 1)
        return F.softplus(self.blur((standard * weights.view(1, -1, 1, 1)).sum(1, keepdim=True)))

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) to restorations and raw evidence (B, len(EVIDENCE), h, w)."""
        correction, hidden, restored = self.restore(x)
        seen, squares = self.differences(x, restored)
        logits = self.find(x, restored, hidden, seen, squares)
        distances = [
            grown((square / self.usual(stage).view(1, -1, 1, 1)).mean(1, keepdim=True), STRIDES[stage] / 4)
            for square, stage in zip(squares, FEATURE_STAGES, strict=True)
        ]
        pixels = F.avg_pool2d((restored - x).abs().mean(1, keepdim=True), self.config.stride)
        latents = grown(
            correction.abs().mean(1, keepdim=True), self.config.latent_stride / self.config.stride
        )
        found = torch.cat([*distances, pixels, latents], 1)
        return restored, torch.cat([logits, (found + self.negligible).log(), *self.remembered(seen[-1])], 1)

    def remembered(self, seen: Tensor) -> list[Tensor]:
        """What each memory makes of features of the input at stride 16, (B, 1, h, w)."""
        pairs = zip(self.memories, self.later(seen), REMEMBERED_STAGES, strict=True)
        return [grown(memory(level), STRIDES[stage] / self.config.stride) for memory, level, stage in pairs]

    def restore(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images to correction and hidden layer on the latent grid, and the restoration (B, C, H, W)."""
        z = self.codec.encode(x)
        correction, hidden = self.restorer(z)
        return correction, hidden, self.codec.decode(z - correction).clamp(-1, 1)

    def differences(self, x: Tensor, restored: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """By stride: features of the input, and their squared distance from the restoration's."""
        both = torch.cat([x, restored]).expand(-1, 3, -1, -1)
        both = both.contiguous(memory_format=torch.channels_last)  # four times as fast in training
        pyramid = [halves(level) for level in self.features(both)]
        return [seen for seen, _ in pyramid], [(seen - other).square() for seen, other in pyramid]

    def find(
        self, x: Tensor, restored: Tensor, hidden: Tensor, seen: list[Tensor], squares: list[Tensor]
    ) -> Tensor:
        """The finder's two logits (B, 2, h, w)."""
        pixels = space_to_depth(torch.cat([x, restored - x], 1), self.config.stride)
        logits: Tensor = self.finder(seen, [square.sqrt() for square in squares], hidden, pixels)
        return logits

    def usual(self, stage: int) -> Tensor:
        """How far each channel's features are from the restoration's on good parts, squared."""
        usual: Tensor = getattr(self, f"usual_{stage}")
        return usual


def untaught(weights: tuple[float, ...]) -> tuple[float, ...]:
    """The weights of a student that no teacher's map has taught, summing to 1."""
    named = [0.0 if name == "taught" else weight for name, weight in zip(EVIDENCE, weights, strict=True)]
    return tuple(weight / sum(named) for weight in named)


def to_pixels(images: Tensor) -> Tensor:
    """(B, C, H, W) in [-1, 1] to uint8 (B, H, W, C)."""
    return to_levels(images).to(torch.uint8)


def to_levels(images: Tensor) -> Tensor:
    """(B, C, H, W) in [-1, 1] to whole grey levels in float (B, H, W, C)."""
    return ((images + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1)


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Post-activation, so that every BatchNorm folds into its convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn_relu(inputs, outputs), conv_bn_relu(outputs, outputs))


def grown(maps: Tensor, factor: float) -> Tensor:
    """Bilinear, by a factor and not to a size, so that the graph needs no shape arithmetic."""
    return maps if factor == 1 else F.interpolate(maps, scale_factor=factor, mode="bilinear")


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first and second half of a batch; written out because the exporter freezes `chunk`'s sizes."""
    first, second = x.reshape(2, -1, *x.shape[1:]).unbind(0)
    return first, second


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")

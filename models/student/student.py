"""The one-step student that ships: uint8 tiles in, score, map and restoration out.

One static pass: BatchNorm and ReLU, no attention, no noise, no timestep, nothing that depends on data.
Normalisation, features of input and restoration, distances, fusion, blur and top-k are all in here,
so the device does no model mathematics.

    z            = whitened pixel-unshuffle of the tile x
    F            = frozen features at strides 4, 8, 16 and 32 of x; at the first three of restored
    g, detail    = restorer(z, F)               where the tile deviates from good parts, 0..1
    restored     = decode(z - g (z - fill - detail))    fill: what the surroundings say
    mask, taught = finder(F, x, restored)       logits: a defect; what the teachers' maps showed
    e            = [mask, taught, log d_4, log d_8, log d_16, log pixels, log latents, m_5, m_6]
    d_l          = mean_c (F_lc(x) - F_lc(restored))^2 / good_lc     good_lc: the same on good parts
    m_s          = log distance of x from good parts in the features of stage s, at stride 32
    s            = blur(sum_i w_i (e_i - mean_i) / spread_i)     of good parts: mean, and spread that one good
                   cell in a thousand lies three of above it; s_near of all but m, s_around of m
    map          = softplus(s_near + k s_around)     k: 1 where s_near is the largest within 64 px, else less
    score        = mean of the largest map pixels

Distances count by their logarithm: on good parts they have a long tail, which would drown the finder. What is
restored and found is one half of the map, what a memory of good parts knows is the other (DECISIONS.md): it
sees at stride 32 whether there is a defect, and the finer evidence says where.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.codec import Unshuffle, space_to_depth
from models.parts.features import STAGES, STRIDES, Features, LaterFeatures
from models.parts.filling import filled
from models.parts.maps import Blur, prominence, top_mean
from models.parts.memory import Memory
from models.student.finder import Finder
from models.student.layers import grown
from models.student.restorer import Restorer, gate

FEATURE_STAGES = (1, 2, 4)  # EfficientNet-Lite0 at strides 4, 8 and 16
REMEMBERED_STAGES = (5, 6)  # of the input alone, at stride 32
FEATURE_CHANNELS = tuple(STAGES[stage][5] for stage in FEATURE_STAGES)
AROUND_CHANNELS = sum(STAGES[stage][5] for stage in REMEMBERED_STAGES)
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
        *(0.31, 0.05, 0.035, 0.035, 0.035, 0.02, 0.015),
        *(0.25, 0.25),
    )
    blur_px: float = 0.7  # sigma on the map's grid
    around_px: int = 64  # how far a memory is left to say that something is, and finer evidence where
    fall: float = 3.0  # of finer evidence below the largest around it, where the memory counts for nothing
    top: int = 32  # map pixels in the score


PRESETS: dict[str, StudentConfig] = {
    "nano": StudentConfig(widths=(16, 24), finder=(8, 12, 16), prototypes=8, top=4),
    "edge": StudentConfig(),
    "paper": StudentConfig(channels=3, widths=(96, 128, 160), finder=(64, 96, 128)),
}


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What the restorer makes of images (B, C, H, W), on the latent grid but for `image`."""

    image: Tensor  # of their shape
    correction: Tensor  # (B, c, h, w), what was taken from the latents
    deviates: Tensor  # (B, 1, h, w), a logit
    hidden: Tensor  # (B, widths[0], h, w)


class Student(nn.Module):
    """The shipped graph. `forward` takes uint8 (N, H, W, C); see the file's docstring."""

    mean: Tensor
    spread: Tensor
    negligible: Tensor
    fusion: Tensor
    learned: Tensor

    def __init__(self, config: StudentConfig, features: Features, later: LaterFeatures) -> None:
        super().__init__()
        self.config = config
        self.codec = Unshuffle(config.channels, config.latent_stride)
        seen = *FEATURE_CHANNELS, AROUND_CHANNELS
        self.restorer = Restorer(config.channels * config.latent_stride**2, config.widths, seen[1:])
        self.finder = Finder(config.channels, config.widths[0], seen, config.finder)
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
        learned = torch.tensor([float(name in LEARNED) for name in EVIDENCE])
        self.register_buffer("learned", learned, persistent=False)

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
        near, around = (
            self.blur((standard * (weights * some).view(1, -1, 1, 1)).sum(1, keepdim=True))
            for some in (self.learned, 1 - self.learned)
        )
        radius = self.config.around_px // self.config.stride
        return F.softplus(near + prominence(near, radius, self.config.fall) * around)

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) to restorations and raw evidence (B, len(EVIDENCE), h, w)."""
        look = self.look(x)
        found = self.restore(x, look)
        squares = self.differences(look, found.image)
        logits = self.find(x, found, look, squares)
        distances = [
            grown((square / self.usual(stage).view(1, -1, 1, 1)).mean(1, keepdim=True), STRIDES[stage] / 4)
            for square, stage in zip(squares, FEATURE_STAGES, strict=True)
        ]
        pixels = F.avg_pool2d((found.image - x).abs(), self.config.stride).mean(1, keepdim=True)
        latents = grown(
            found.correction.abs().mean(1, keepdim=True), self.config.latent_stride / self.config.stride
        )
        apart = torch.cat([*distances, pixels, latents], 1)
        return found.image, torch.cat([logits, (apart + self.negligible).log(), self.remembered(look)], 1)

    def look(self, x: Tensor) -> list[Tensor]:
        """Frozen features of images, FEATURE_STAGES and then REMEMBERED_STAGES."""
        levels = self.features(self._coloured(x))
        return [*levels, *self.later(levels[-1])]

    def remembered(self, look: list[Tensor]) -> Tensor:
        """What each memory makes of the input, (B, len(REMEMBERED_STAGES), h, w)."""
        levels = look[len(FEATURE_STAGES) :]
        known = [memory(level) for memory, level in zip(self.memories, levels, strict=True)]
        return grown(torch.cat(known, 1), STRIDES[REMEMBERED_STAGES[0]] / self.config.stride)

    def restore(self, x: Tensor, look: list[Tensor]) -> Restored:
        """What the restorer makes of images and their features."""
        z, stride = self.codec.encode(x), self.config.latent_stride
        detail, deviates, hidden = self.restorer(z, _by_stride(look)[1:])
        replaced = gate(deviates)
        surroundings = filled(F.avg_pool2d(x, stride), 1 - replaced.detach())
        correction = replaced * (z - (self.codec.encode_grown(surroundings) + detail))
        image = self.codec.decode(z - correction).clamp(-1, 1)
        return Restored(image=image, correction=correction, deviates=deviates, hidden=hidden)

    def differences(self, look: list[Tensor], restored: Tensor) -> list[Tensor]:
        """Squared distance of the input's features from the restoration's, by FEATURE_STAGES."""
        pairs = zip(look, self.features(self._coloured(restored)), strict=False)
        return [(seen - other).square() for seen, other in pairs]

    def find(self, x: Tensor, found: Restored, look: list[Tensor], squares: list[Tensor]) -> Tensor:
        """The finder's two logits (B, 2, h, w); what is restored learns nothing from them, `hidden` does."""
        pictures = x, found.image.detach() - x
        pixels = torch.cat([space_to_depth(one, self.config.stride) for one in pictures], 1)
        differences = [square.sqrt() for square in squares]
        logits: Tensor = self.finder(_by_stride(look), differences, found.hidden, pixels)
        return logits

    def usual(self, stage: int) -> Tensor:
        """How far each channel's features are from the restoration's on good parts, squared."""
        usual: Tensor = getattr(self, f"usual_{stage}")
        return usual

    def _coloured(self, x: Tensor) -> Tensor:
        """As the features see images: in their channels, and in the order that trains four times as fast."""
        wanted = x.expand(-1, self.features.channels, -1, -1)
        return wanted.contiguous(memory_format=torch.channels_last)


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


def _by_stride(look: list[Tensor]) -> list[Tensor]:
    """Features at strides 4, 8, 16 and 32, those of the last together."""
    count = len(FEATURE_STAGES)
    return [*look[:count], torch.cat(look[count:], 1)]

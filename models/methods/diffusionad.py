"""DiffusionAD: norm-guided one-step denoising, judged by a segmenter (TPAMI 2025, arXiv 2303.08730).

A picture is noised to two levels and denoised in one step from each: the small one keeps detail and may
keep a defect, the big one loses both. A segmenter compares the picture with a blend of the two.

    x_t  = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps                  `mix`, at t_s < 300 and at t_b >= 300
    x0_t = (x_t - sqrt(1 - abar_t) eps^) / sqrt(abar_t)             `clean`, the one-step restoration
    n_t  = sqrt(abar_ts) clamp(x0_b) + sqrt(1 - abar_ts) eps^_s     the big level's norm, noised again
    eps' = eps^_s - w sqrt(1 - abar_ts) (n_t - x_s)                 norm guidance; the same as the blend
    x0_g = clamp((1 - lam) x0_s + lam clamp(x0_b)),   lam = w (1 - abar_ts)
    L    = mean over good pictures of |eps^_s - eps_s|^2 + |eps^_b - eps_b|^2       (eq. 9: only good ones)
           + 5 focal(alpha 0.5, gamma 4) + smooth-L1, of sigmoid(S([x, x0_g])) against the mask  (eq. 10)

The second line of L reaches the denoiser through x0_g, from good and spoilt pictures alike.

What we changed, in all presets: pictures are in [-1, 1], as the clamp assumes, not in [0, 1]; the noise of
an inspection is drawn once and serves every picture, so that a picture keeps its score; defects are those
of `parts/anomalies.py`, labelled only where pixels changed, not DTD textures in Perlin masks; rates have
our warm-up and cosine decay. As in the paper no net is told the product; we still let one serve several.
`edge` and `nano` work on pixel-unshuffled grids with a smaller U-Net without attention, whose answer has a
learned share of x_t added (it learns several times faster), and draw t_b below 600 in place of 1000: above
it x0_b holds nothing of the picture and the clamp swallows most of it.

The paper preset has the published sizes (131.65 M and 28.37 M parameters) and no moving average; no weights
are published, so it trains from scratch. Its accuracy (VisA image AUROC 98.8, MPDD 96.2) is not claimed for
ours. Image AUROC of the edge preset after two to five minutes on two cores: 0.865, 0.762 and 0.561 on
kolektor_sdd, magnetic_tile and elpv, and 0.957, 0.865 and 0.845 of its students (the command is in
models/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.methods.method import Restoration
from models.parts.batch import Batch
from models.parts.codec import space_to_depth
from models.parts.losses import focal
from models.parts.maps import top_mean
from models.parts.schedule import linear
from models.parts.segmenter import Segmenter
from models.parts.unet import UNet
from models.parts.weights import WeightsError
from models.stages import SILENT, Stages

TOP_PX, TOP_OF_PX = 50, 256 * 256  # the score is the mean of the 50 largest of 256 x 256 map pixels
TOP_PX_MIN = 5


@dataclass(frozen=True, kw_only=True)
class DiffusionADConfig:
    """Everything that defines a DiffusionAD model; training adds only steps and rates."""

    channels: int = 1  # of the images
    stride: int = 4  # pixels per cell of the grid that both nets work on
    widths: tuple[int, ...] = (32, 64, 96)
    heads: int = 0  # attention heads of the published denoiser; 0: ours without attention
    segmenter_widths: tuple[int, ...] = (32, 64, 96, 128)
    timesteps: int = 1000
    fine_below: int = 300  # training draws t_s below it
    coarse_below: int = 600  # and t_b from there to below this
    fine_at: int = 200  # t_s of an inspection
    coarse_at: int = 400  # t_b of an inspection
    guidance: float = 1.0  # w
    noises: int = 1  # pairs of noise maps that an inspection averages over


PRESETS: dict[str, DiffusionADConfig] = {
    "nano": DiffusionADConfig(stride=2, widths=(16, 24), segmenter_widths=(16, 24)),
    "edge": DiffusionADConfig(),
    "paper": DiffusionADConfig(
        channels=3,
        stride=1,
        widths=(128, 128, 256, 256, 512, 512),
        heads=4,
        segmenter_widths=(64, 128, 256, 512, 512, 512),
        coarse_below=1000,
    ),
}


def build(config: DiffusionADConfig) -> DiffusionAD:
    """The untrained method; there are no published weights that could be absent."""
    return DiffusionAD(config)


def adapted(
    config: DiffusionADConfig, *, channels: int, products: int, weights: Path | None
) -> DiffusionADConfig:
    """The preset for a data set; one net serves all `products`. Raises WeightsError when given `weights`."""
    if weights is not None:
        raise WeightsError(
            f"{weights}: DiffusionAD has no published weights; leave --weights out, it trains from scratch"
        )
    return replace(config, channels=channels)


def denoiser(config: DiffusionADConfig) -> nn.Module:
    """eps^(x_t, t); the published U-Net when the configuration has attention heads."""
    if config.heads:
        return PublishedUNet(config)
    return UnshuffledUNet(config)


class UnshuffledUNet(nn.Module):
    """Our U-Net on the pixel-unshuffled grid. An unshuffle only moves pixels: unit noise stays unit noise."""

    def __init__(self, config: DiffusionADConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.net = UNet(config.channels * config.stride**2, config.widths, shared=True)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return F.pixel_shuffle(self.net(space_to_depth(x, self.stride), t), self.stride)


class PublishedUNet(nn.Module):
    """The paper's U-Net: 131.65 M parameters, residual resampling, attention on the three coarsest levels."""

    def __init__(self, config: DiffusionADConfig) -> None:
        super().__init__()
        from diffusers import UNet2DModel
        from diffusers.models.attention_processor import Attention

        above = len(config.widths) - 3  # levels without attention
        self.net: Any = UNet2DModel(  # type: ignore[no-untyped-call]
            in_channels=config.channels,
            out_channels=config.channels,
            block_out_channels=config.widths,
            layers_per_block=2,
            down_block_types=("ResnetDownsampleBlock2D",) * above + ("AttnDownBlock2D",) * 3,
            up_block_types=("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * above,
            downsample_type="resnet",
            upsample_type="resnet",
            flip_sin_to_cos=False,  # sin before cos
            freq_shift=0,
        )
        for part in self.modules():
            if isinstance(part, Attention):
                part.heads = config.heads  # diffusers would fix the width of a head, the paper their number
        for name, parameter in self.named_parameters():
            if any(layer in name for layer in (".conv2.", ".to_out.0.", ".conv_out.")):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        answer: Tensor = self.net(x, t.to(x.device)).sample
        return answer


class DiffusionAD(nn.Module):
    """The method: `loss` to train both nets together, `inspect` to judge with fixed noise."""

    spoilt_share = 0.5

    def __init__(self, config: DiffusionADConfig) -> None:
        super().__init__()
        self.config = config
        self.denoiser = denoiser(config)
        self.segmenter = Segmenter(2 * config.channels, config.segmenter_widths, stride=config.stride)
        self.schedule = linear(config.timesteps)

    def fit_statistics(self, good: Tensor) -> None:
        """Nothing: pixels in [-1, 1] are what the noise is made for."""

    def fit_evidence(self, good: Tensor, rng: torch.Generator, stages: Stages = SILENT) -> None:
        """Nothing: the map is a probability already."""

    def loss(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        config, count = self.config, len(batch.seen)
        x = torch.cat([batch.seen, batch.seen])  # (2B, C, H, W), the small noise levels first
        t_s = torch.randint(config.fine_below, (count,), generator=rng)
        t_b = torch.randint(config.fine_below, config.coarse_below, (count,), generator=rng)
        t = torch.cat([t_s, t_b])
        x_t = self.schedule.mix(x, torch.randn(x.shape, generator=rng).to(x.device), t)
        answer = self.denoiser(x_t, t).float()
        logits = self.segment(batch.seen, self.guided(x_t, answer, t))
        error = (answer - self.schedule.residual(x_t, x, t)).square().flatten(1).mean(1)  # (2B,)
        good = (~batch.spoilt).float()
        return {
            "noise": (error * good.repeat(2)).sum() / good.sum().clamp_min(1),
            "mask": 5 * focal(logits, batch.mask, gamma=4.0, alpha=0.5)
            + F.smooth_l1_loss(torch.sigmoid(logits), batch.mask),
        }

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor | None = None) -> Restoration:
        config, shape = self.config, images.shape[1:]
        times = torch.tensor([config.fine_at, config.coarse_at]).repeat_interleave(len(images))
        restored, maps = [], []
        with torch.no_grad():
            for _ in range(config.noises):
                pair = torch.randn(2, *shape, generator=rng)  # the same for every picture
                noise = pair.repeat_interleave(len(images), 0).to(images.device)
                x_t = self.schedule.mix(torch.cat([images, images]), noise, times)
                guided = self.guided(x_t, self.denoiser(x_t, times).float(), times)
                restored.append(guided)
                maps.append(torch.sigmoid(self.segment(images, guided)))
        found = torch.stack(maps).mean(0)
        return Restoration(
            image=torch.stack(restored).mean(0),
            map=found,
            score=top_mean(found, top_count(*shape[1:])),
        )

    def guided(self, x_t: Tensor, answer: Tensor, t: Tensor) -> Tensor:
        """x0_g (B, C, H, W) from the noised pictures and answers of both levels, (2B, C, H, W) each."""
        fine, coarse = self.schedule.clean(x_t, answer, t).chunk(2)
        t_s = t[: len(fine)]
        lam = self.config.guidance * self.schedule.noise[t_s].square().to(x_t.device)
        return torch.lerp(fine, coarse.clamp(-1, 1), lam.view(-1, 1, 1, 1)).clamp(-1, 1)

    def segment(self, images: Tensor, restored: Tensor) -> Tensor:
        """The defect logits of S([x, x0_g]), (B, 1, H, W)."""
        logits: Tensor = self.segmenter(torch.cat([images, restored], 1)).float()
        return logits


def top_count(height: int, width: int) -> int:
    """How many map pixels the score is the mean of: as many of a tile as 50 are of 256 x 256, at least 5."""
    return max(TOP_PX_MIN, round(TOP_PX * height * width / TOP_OF_PX))

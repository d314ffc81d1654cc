"""DeCo-Diff: correct the deviation from normality (CVPR 2025, arXiv 2503.19357).

Only some latent cells are corrupted; the network answers each cell's deviation and zero elsewhere.

    z_t   = (1 - m) z + m (A_t z + S_t n)          partial corruption, m = 1 on hidden cells
    eta_t = (z_t - z) / S_t                        target: `residual` of the schedule with s = 1
    z     = z_t - S_t eta_t                        one-step correction: `clean`
    z_{t'} = z_t - (S_t - S_{t'}) eta              multi-step correction: `step`
    M     = sqrt(P L), P = clipped pixel difference, L = clipped latent difference

At test time the latent itself is taken for z_t: a normal cell stays, a defective one is corrected.

What we changed. The `edge` and `nano` presets use an invertible pixel-unshuffle latent in place of the
SD-VAE (whose error hides weak defects), a smaller U-Net without attention or class embedding, a larger
share of shuffled patches (Gaussian cells are trivially told from texture), keep half of the products from the
network, and take the clips from the 99.5th percentile of good parts in place of 0.4 and 0.2.

The paper preset keeps the published sizes, clips, shares, optimiser and course of the rate (warm-up of ten
epochs, a cosine over 1.5 runs, no average, no clipping). It differs in this: latents are the mean of the
VAE's posterior in training, too (published: a sample); pictures are tiles of the whole frame, mirrored and
re-exposed as the product allows (published: resized to 288, moved by 4 pixels, the middle 256 of them); the
rate changes by step, not by epoch; one gradient for a batch of 128 (published last: two). `import` takes
the authors' checkpoint of UNet_L with its order of classes, which is that of their loader, not the alphabet;
XS, S, M and XL are refused. Its accuracy (MVTec-AD image AUROC 99.3, AUPRO 94.9) is not claimed for ours.
Image AUROC of the edge preset after two to five minutes on two cores: 0.789, 0.587 and 0.537 on kolektor_sdd,
magnetic_tile and elpv, and 0.962, 0.824 and 0.857 of its students (the command is in models/README.md).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.methods.method import Restoration
from models.parts.batch import Batch
from models.parts.codec import Codec, Unshuffle, load_sd_vae
from models.parts.corruption import SMALL, USUAL, Patches, partly
from models.parts.maps import Blur, geometric_mean, percentile, top_mean
from models.parts.schedule import cosine
from models.parts.unet import UNet
from models.stages import SILENT, Stages

LATENT_CHANNELS_SD = 4
CLIP_MIN = 1e-3  # an eighth of a grey level


@dataclass(frozen=True, kw_only=True)
class DeCoDiffConfig:
    """Everything that defines a DeCo-Diff model; training adds only steps and rate."""

    channels: int = 1  # of the images
    codec: Literal["unshuffle", "sd-vae"] = "unshuffle"
    codec_stride: int = 8  # pixels per latent cell
    codec_path: str | None = None  # the SD-VAE's folder
    widths: tuple[int, ...] = (96, 128, 160)
    context: int = 0  # cross-attention width of the published U-Net; 0: ours without attention
    products: int = 1  # classes of the class embedding
    nameless: float = 0.5  # share of the training pictures whose product is kept from the network
    learned_clips: bool = True  # from good parts; else the published ones
    timesteps: int = 10
    patches: Patches = USUAL
    correction_steps: int = 5
    one_step_at: int = 8  # the timestep that is baked into one-step correction
    top: int = 50  # pixels in the score, of the whole map


PRESETS: dict[str, DeCoDiffConfig] = {
    "nano": DeCoDiffConfig(codec_stride=4, widths=(16, 24), patches=SMALL),
    "edge": DeCoDiffConfig(),
    "paper": DeCoDiffConfig(
        channels=3,
        codec="sd-vae",
        widths=(256, 512, 1024),
        context=512,
        products=15,
        nameless=0.0,
        learned_clips=False,
        patches=Patches(shuffled=0.3),
        top=1,
    ),
}


def build(config: DeCoDiffConfig) -> DeCoDiff:
    """The method with its codec; raises WeightsError when the SD-VAE is asked for and absent."""
    if config.codec == "unshuffle":
        return DeCoDiff(config, Unshuffle(config.channels, config.codec_stride))
    return DeCoDiff(config, load_sd_vae(Path(config.codec_path or "sd-vae-ft-ema"), config.channels))


def deviation_net(config: DeCoDiffConfig) -> nn.Module:
    """f(z_t, t) -> deviation; the published U-Net when the configuration has a context width."""
    if config.context:
        return PublishedUNet(config)
    return UNet(config.channels * config.codec_stride**2, config.widths, products=config.products)


class PublishedUNet(nn.Module):
    """The LDM U-Net of the paper, size L: 395 M parameters, a transformer after every block."""

    def __init__(self, config: DeCoDiffConfig) -> None:
        super().__init__()
        from diffusers import UNet2DConditionModel

        self.net: Any = UNet2DConditionModel(  # type: ignore[no-untyped-call]
            sample_size=32,
            in_channels=LATENT_CHANNELS_SD,
            out_channels=LATENT_CHANNELS_SD,
            block_out_channels=config.widths,
            layers_per_block=2,
            down_block_types=("CrossAttnDownBlock2D",) * 3,
            up_block_types=("CrossAttnUpBlock2D",) * 3,
            cross_attention_dim=config.context,
            attention_head_dim=tuple(width // 32 for width in config.widths),  # heads of 32 channels
            dropout=0.4,
        )
        self.embedding = nn.Embedding(config.products, config.context)

    def forward(self, x: Tensor, t: Tensor, products: Tensor | None = None) -> Tensor:
        """The mean embedding stands in for an unknown product (-1, or None for all)."""
        products = torch.full((len(x),), -1) if products is None else products
        products = products.to(x.device)
        known = self.embedding(products.clamp_min(0))
        context = torch.where(products[:, None] >= 0, known, self.embedding.weight.mean(0))[:, None]
        answer: Tensor = self.net(x, t.to(x.device), encoder_hidden_states=context).sample
        return answer


class DeCoDiff(nn.Module):
    """The method: `loss` to train, `inspect` to judge with one or several corrections."""

    spoilt_share = 0.0
    pixel_clip: Tensor
    latent_clip: Tensor

    def __init__(self, config: DeCoDiffConfig, codec: Codec) -> None:
        super().__init__()
        self.config = config
        self.codec = codec
        self.net = deviation_net(config)
        self.corruption = cosine(config.timesteps)
        self.deviation = self.corruption.unscaled()
        self.blur_pixels, self.blur_latents = Blur(3.0), Blur(1.0)
        self.register_buffer("pixel_clip", torch.tensor(0.4))
        self.register_buffer("latent_clip", torch.tensor(0.2))

    def fit_statistics(self, good: Tensor) -> None:
        if isinstance(self.codec, Unshuffle):
            self.codec.fit(good)

    def loss(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        z = self.codec.encode(batch.clean)
        t = self.deviation.draw(len(z), rng)
        z_t = partly(z, t, self.corruption, self.config.patches, rng)
        target = self.deviation.residual(z_t, z, t)
        named = torch.rand(len(z), generator=rng) >= self.config.nameless
        products = torch.where(named.to(z.device), batch.products, -1)
        return {"deviation": F.mse_loss(self.net(z_t, t, products).float(), target)}

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor | None = None) -> Restoration:
        with torch.no_grad():
            z = self.codec.encode(images)
            corrected = self.correct(z, products)
            seen, restored = self.codec.decode(z), self.codec.decode(corrected)  # codec against codec
            pixels, latents = self._differences(seen, restored, z, corrected)
            maps = geometric_mean(
                self.blur_pixels((pixels / self.pixel_clip).clamp_max(1)),
                F.interpolate(
                    self.blur_latents((latents / self.latent_clip).clamp_max(1)),
                    size=images.shape[-2:],
                    mode="bilinear",
                ),
            )
        return Restoration(image=restored, map=maps, score=top_mean(maps, self.config.top))

    def correct(self, z: Tensor, products: Tensor | None = None) -> Tensor:
        """The deterministic correction, a weighted sum of the network's answers.

        With one step its timestep is baked in: z - S_t f(z, t) at `one_step_at`.
        """
        steps = self.config.correction_steps
        times = (self.config.one_step_at,) if steps == 1 else self.deviation.countdown(steps)
        for t, t_next in itertools.pairwise(times):
            now, then = torch.full((len(z),), t), torch.full((len(z),), t_next)
            z = self.deviation.step(z, self.net(z, now, products).float(), now, then)
        last = torch.full((len(z),), times[-1])
        return self.deviation.clean(z, self.net(z, last, products).float(), last)

    def fit_evidence(self, good: Tensor, rng: torch.Generator, stages: Stages = SILENT) -> None:
        """Set both clips to the 99.5th percentile of what held-back good parts (B, C, H, W) show.

        A network that corrects nothing there would have clips of 0, and every map would be 0 / 0.
        """
        if not self.config.learned_clips:
            return
        with torch.no_grad():
            z = self.codec.encode(good)
            corrected = self.correct(z)
            pixels, latents = self._differences(
                self.codec.decode(z), self.codec.decode(corrected), z, corrected
            )
        self.pixel_clip = percentile(pixels, 0.995).clamp_min(CLIP_MIN)
        self.latent_clip = percentile(latents, 0.995).clamp_min(CLIP_MIN)

    def _differences(
        self, seen: Tensor, restored: Tensor, z: Tensor, corrected: Tensor
    ) -> tuple[Tensor, Tensor]:
        pixels = (restored - seen).abs().amax(1, keepdim=True)  # (B, 1, H, W)
        latents = (corrected - z).abs().mean(1, keepdim=True)  # (B, 1, h, w)
        return pixels, latents


def adapted(config: DeCoDiffConfig, *, channels: int, products: int, weights: Path | None) -> DeCoDiffConfig:
    """The preset for a data set; `weights` is the folder of published weights, where the preset has any."""
    path = str(weights) if weights else None
    return replace(config, channels=channels, products=products, codec_path=path)

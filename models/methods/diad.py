"""DiAD: diffusion from noise, guided by what the input shows, one model for all products (AAAI 2024,
arXiv 2312.06607).

A denoiser with a frozen trunk starts from (nearly) pure noise; a semantic guide sees the input and speaks
only at the bottleneck, so that what a part is survives and a defect's pixels do not (models/parts/guide.py).

    z_t  = sqrt(abar_t) z + sqrt(1 - abar_t) eps                      full noising: `mix`
    L    = E || eps - eps_theta(z_t, t, guide(z_t, t, hint)) ||^2     the guided loss
    z_t' = sqrt(abar_t') z0(z_t, eps_theta) + sqrt(1 - abar_t') eps_theta       DDIM, eta = 0: `step`
    A    = blur( sum_i up( 1 - cos( phi_i(x), phi_i(restored) ) ) )   same position, levels i = 1..3
    score = max of A after eight mean pools of 8 x 8, stride 1

What we changed, in all presets. DDIM starts at the level at which noise was added, 999, and ends at 0
(published: added at 999, first step at 901, last at 1). There is no classifier-free guidance: published, both
prompts are the empty string, so that u + 9 (u - u) = u is an exact no-op at twice the cost. Maps are enlarged
by half-pixel positions, restorations are held within what a picture can be. The guide's first weights: see
models/parts/guide.py.

`edge` and `nano`: an invertible pixel-unshuffle latent in place of the SD-VAE; a smaller U-Net; features of
EfficientNet-Lite0. There is no pre-trained trunk at this size, so one run trains both: the trunk by an
ordinary denoising loss without the guide ("trunk"), the guide and the decoder by the guided loss
("guided"), which gets the trunk's encoder side detached, as if it were frozen. The network answers the clean
latent z, and eps = (z_t - sqrt(abar) z) / sqrt(1 - abar) follows: `residual`. A short training of an answer
in noise spoils the texture: at nano size, on woven texture with grain of 4 grey levels, good parts come back
3.6 levels off after 500 steps, 11 if the answer is the velocity, more if it is eps.

`paper` keeps the published sizes, optimiser, rate (constant, no average, no clipping) and the fusion's
epsilon of 1e-5, with weights from a folder (Stable Diffusion 1.5, and `resnet-50` in it, which is Microsoft's
and not timm's). It differs in this: latents are the mean of the VAE's posterior, not a sample; training
pictures are mirrored and re-exposed as the product allows; no checkpoint is chosen on the test set. Trained
here, its VAE is Stable Diffusion's and sees [-1, 1]; `import` takes the authors' one, which was fine-tuned on
the products in colours normalised as for ImageNet, and those colours with it. Its accuracy (MVTec-AD, one
model for all 15 products: image AUROC 97.2, pixel AUROC 96.8) is not claimed for ours.
Image AUROC of the edge preset after two to five minutes on two cores: 0.523, 0.667 and 0.557 on kolektor_sdd,
magnetic_tile and elpv, and 0.959, 0.829 and 0.856 of its students (the command is in models/README.md).
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
from models.parts.codec import Codec, StableDiffusionVae, Unshuffle, load_sd_vae
from models.parts.features import load_features
from models.parts.guide import Guide, PublishedGuide
from models.parts.maps import Blur, cosine_distance
from models.parts.precision import autocast
from models.parts.resnet import load_resnet50
from models.parts.schedule import scaled_linear
from models.parts.stable_diffusion import prompt_embedding, sd_unet
from models.parts.unet import UNet
from models.stages import SILENT, Stages

FEATURE_STAGES = (1, 2, 4)  # of EfficientNet-Lite0: strides 4, 8, 16
PUBLISHED_PX = 256  # the picture size that the blur and the pools are meant for
BLUR_PX = 5.0
POOL_PX, POOLS = 8, 8
PROMPT = ""


@dataclass(frozen=True, kw_only=True)
class DiADConfig:
    """Everything that defines a DiAD model; training adds only steps and rate."""

    channels: int = 1  # of the images
    codec: Literal["unshuffle", "sd-vae"] = "unshuffle"
    codec_stride: int = 8  # pixels per latent cell
    weights: str | None = None  # folder of the published weights
    widths: tuple[int, ...] = (64, 96, 160)  # of our trunk and guide
    answers: Literal["noise", "clean"] = "clean"
    start: int = 999  # the timestep at which noise is added and the restoration starts
    steps: int = 10


PRESETS: dict[str, DiADConfig] = {
    "nano": DiADConfig(codec_stride=4, widths=(16, 24), steps=5),
    "edge": DiADConfig(),
    "paper": DiADConfig(channels=3, codec="sd-vae", answers="noise"),
}


def build(config: DiADConfig) -> DiAD:
    """The method with its codec and features; raises WeightsError when published weights are absent."""
    if config.codec == "unshuffle":
        net = GuidedUNet(config.channels * config.codec_stride**2, config.widths)
        codec = Unshuffle(config.channels, config.codec_stride)
        return DiAD(config, codec, net, load_features(FEATURE_STAGES))
    folder = Path(config.weights or "stable-diffusion-v1-5")
    vae = load_sd_vae(folder / "vae", config.channels)
    resnet = load_resnet50(folder / "resnet-50")
    return DiAD(config, vae, PublishedNet(sd_unet(folder), prompt_embedding(folder, PROMPT)), resnet)


class GuidedUNet(nn.Module):
    """Our trunk and guide; the hint is the latent of the input."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk = UNet(channels, widths)
        self.guide = Guide(channels, widths)

    def forward(self, x: Tensor, t: Tensor, hint: Tensor) -> Tensor:
        """The guided answer."""
        embedding = self.trunk.embed(x, t)
        middle, skips = self.trunk.encode(x, embedding)
        return self.trunk.decode(middle + self.guide(x, t, hint), skips, embedding)

    def answers(self, x: Tensor, t: Tensor, hint: Tensor) -> dict[str, Tensor]:
        """Without the guide, to train the trunk by, and with it, where the trunk's encoder is a constant."""
        embedding = self.trunk.embed(x, t)
        middle, skips = self.trunk.encode(x, embedding)
        guided = self.trunk.decode(
            middle.detach() + self.guide(x, t, hint), [skip.detach() for skip in skips], embedding.detach()
        )
        return {"trunk": self.trunk.decode(middle, skips, embedding), "guided": guided}


class PublishedNet(nn.Module):
    """Stable Diffusion's U-Net and the SG network, 1331.39 M parameters; the hint is the input in colours.

    The U-Net's encoder, middle and time embedding are frozen; its decoder and output are trained.
    """

    prompt: Tensor

    def __init__(self, unet: Any, prompt: Tensor) -> None:
        super().__init__()
        self.guide = PublishedGuide(unet)
        self.trunk = unet.requires_grad_(False)
        for part in (unet.up_blocks, unet.conv_norm_out, unet.conv_out):
            part.requires_grad_(True)
        self.register_buffer("prompt", prompt)  # (1, 77, 768)

    def forward(self, x: Tensor, t: Tensor, hint: Tensor) -> Tensor:
        prompts = self.prompt.expand(len(x), -1, -1)
        t = t.to(x.device)
        middle, last = self.guide(x, t, hint, prompts)
        silent = [x.new_zeros(())] * (len(self.guide.copy.controlnet_down_blocks) - len(last))
        answer: Tensor = self.trunk(
            x,
            t,
            prompts,
            down_block_additional_residuals=(*silent, *last),
            mid_block_additional_residual=middle,
        ).sample
        return answer

    def answers(self, x: Tensor, t: Tensor, hint: Tensor) -> dict[str, Tensor]:
        return {"guided": self(x, t, hint)}


class DiAD(nn.Module):
    """The method: `loss` to train, `inspect` to judge. Products are never looked at."""

    spoilt_share = 0.0

    def __init__(
        self, config: DiADConfig, codec: Codec, net: GuidedUNet | PublishedNet, features: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        self.codec = codec
        self.net = net
        self.features = features
        self.schedule = scaled_linear(1000)

    def fit_statistics(self, good: Tensor) -> None:
        if isinstance(self.codec, Unshuffle):
            self.codec.fit(good)

    def fit_evidence(self, good: Tensor, rng: torch.Generator, stages: Stages = SILENT) -> None:
        """Nothing to take: a cosine distance has its own scale."""

    def loss(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        z = self.codec.encode(batch.clean)
        noise = torch.randn(z.shape, generator=rng).to(z.device)
        t = self.schedule.draw(len(z), rng)
        target = noise if self.config.answers == "noise" else z
        found = self.net.answers(self.schedule.mix(z, noise, t), t, self._hint(batch.clean, z))
        return {name: F.mse_loss(answer.float(), target) for name, answer in found.items()}

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor | None = None) -> Restoration:
        with torch.no_grad(), autocast(images.device):
            restored = self.restore(images, rng)
            maps = self.distance(images, restored)
        return Restoration(image=restored, map=maps, score=pooled_maximum(maps))

    def restore(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Noise to the level `start`, and back by guided DDIM steps."""
        z = self.codec.encode(images)
        noise = torch.randn(z[:1].shape, generator=rng).to(z.device).expand_as(z)  # alike for all pictures
        times = [torch.full((len(z),), t) for t in countdown_from(self.config.start, self.config.steps)]
        hint = self._hint(images, z)
        x = self.schedule.mix(z, noise, times[0])
        for t, t_next in itertools.pairwise(times):
            x = self.schedule.step(x, self._noise(x, t, hint), t, t_next)
        z = self.schedule.clean(x, self._noise(x, times[-1], hint), times[-1])
        return self.codec.decode(z).float().clamp(-1, 1)

    def _noise(self, x: Tensor, t: Tensor, hint: Tensor) -> Tensor:
        answer = self.net(x, t, hint).float()
        return answer if self.config.answers == "noise" else self.schedule.residual(x, answer, t)

    def _hint(self, images: Tensor, z: Tensor) -> Tensor:
        return self.codec.coloured(images) if isinstance(self.codec, StableDiffusionVae) else z

    def distance(self, images: Tensor, restored: Tensor) -> Tensor:
        """Cosine distances of three feature levels, summed at full size and blurred, (B, 1, H, W)."""
        pairs = zip(*(self.features(x.expand(-1, 3, -1, -1)) for x in (images, restored)), strict=True)
        levels = [
            F.interpolate(
                cosine_distance(seen.float(), good.float()), size=images.shape[-2:], mode="bilinear"
            )
            for seen, good in pairs
        ]
        blur = Blur(BLUR_PX * images.shape[-1] / PUBLISHED_PX).to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            maps: Tensor = blur(torch.stack(levels).sum(0))
        return maps


def countdown_from(start: int, steps: int) -> list[int]:
    """`steps` evenly spaced timesteps from `start` down to 0; a single one is `start` itself."""
    return [int(t) for t in torch.linspace(start, 0, steps).round()]


def pooled_maximum(maps: Tensor) -> Tensor:
    """Largest pixel after the repeated mean pools, which are 8 pixels wide at 256, (B, 1, H, W) to (B,)."""
    width = max(1, round(POOL_PX * maps.shape[-1] / PUBLISHED_PX))
    for _ in range(POOLS):
        maps = F.avg_pool2d(maps, width, stride=1)
    return maps.flatten(1).amax(1)


def adapted(config: DiADConfig, *, channels: int, products: int, weights: Path | None) -> DiADConfig:
    """The preset for a data set; one model serves any number of products."""
    return replace(config, channels=channels, weights=str(weights) if weights else None)

"""GLAD: restore by partial diffusion, with a step count and a fusion of its own for every picture
(ECCV 2024, arXiv 2406.07487).

    x_t    = s_t z_a + n_t eps                         noised latent of the part, half of them spoilt
    target = (x_t - s_t z_n) / n_t = eps + s_t/n_t (z_a - z_n)      `residual` against the good latent z_n
    x0     = (x_t - n_t e) / s_t                       `clean`: what the answer e stands for

At inspection the latent z is noised to the first of N steps and denoised along DDIM: the chain. At each
step t the chain is compared with the input that was noised to t with the same eps and the same answer e,
x0_in = z + n_t/s_t (eps - e); d is the distance of their features, its score the mean of the largest:

    score > tau                x0 <- m x0_chain + (1 - m) x0_in, m = sigmoid((d - tau) / 0.05)
    else, t below the fallback x0 <- x0_in
    else                       x0 <- x0_chain, and the picture stays undecided

So a good picture is set back onto its own path late and keeps its detail; a defective one early.
M = sum over layers of min over q of (1 - cos(f(x)_p, f(x')_q)) + v |x - x'|, blurred.

What we changed. The target has the sign that denoises to z_n; the public code of May 2025 has the other
one, which asks for 2 z_a - z_n. The public code also blends z_a with z_n by t/T, which hides the sign and
most of the defect: `blend` switches it on for comparison. The squared error is weighted by
min(SNR, 5) / SNR (Hang et al. 2023), as the target grows with s_t/n_t, up to 34. Noise is added at the
first step that is evaluated, not at T0, and the last step gives x0. tau is the 99th percentile of what good
parts reach, not chosen on the test set. The public m = sigmoid(d) lies in 0.5..0.88 and never masks. The
scale of the pixel term comes from good parts, not from the batch. The prompt names no class. The `edge`
and `nano` presets work on whitened pixel blocks, with a small U-Net to whose answer a learned share of x_t
is added, few steps and EfficientNet-Lite0 features, matched in a 3 x 3 window.

The paper preset keeps the published sizes, steps, optimiser (AdamW's moments in float32, not in 8 bit) and
constant rate. It differs in the above, and in this: latents are the mean of the VAE's posterior, no sample;
defects are those of `parts/defects`; maps are enlarged by half-pixel positions; DINO sees ImageNet's colours
while deciding, too. `import` takes the authors' U-Net (`pytorch_model.bin`) with the tau that most of their
settings have, 0.35; theirs were chosen for each product on the test set.

Not covered: VAE and DINO fine-tuned on a product (VisA, PCB-Bank) and foreground masks. Its accuracy
(MVTec-AD image AUROC 99.3, pixel AUROC 98.6) is not claimed for ours.
Image AUROC of the edge preset after two to five minutes on two cores: 0.792, 0.593 and 0.754 on kolektor_sdd,
magnetic_tile and elpv, and 0.952, 0.815 and 0.861 of its students (the command is in models/README.md).
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
from models.parts.codec import Codec, Unshuffle, load_sd_vae
from models.parts.dino import load_dino
from models.parts.features import load_features
from models.parts.maps import Blur, nearby_distance, nearest_distance, percentile, top_mean
from models.parts.precision import autocast
from models.parts.schedule import cosine, scaled_linear
from models.parts.stable_diffusion import NEEDED, prompt_embedding, require_parts, sd_unet
from models.parts.unet import UNet
from models.stages import SILENT, Stages

PROMPT = "a photo of sks"


@dataclass(frozen=True, kw_only=True)
class GladConfig:
    """Everything that defines a GLAD model; training adds only steps and rate."""

    channels: int = 1  # of the images
    published: bool = False  # Stable Diffusion and DINO in place of our own nets
    weights: str | None = None  # the folder of the published weights
    codec_stride: int = 8  # pixels per latent cell
    widths: tuple[int, ...] = (96, 128, 160)
    blend: bool = False  # the public code's training picture, z_a faded to z_n by t / T
    snr_clamp: float = 5.0
    start: int = 500  # T0, of 1000
    steps: int = 8  # N
    fallback: int = 250  # below this timestep every picture is set back onto its own path
    guidance: float = 9.0  # of the prompt over the empty one, published net only
    stages: tuple[int, ...] = (1, 2, 4)  # of EfficientNet-Lite0
    gate_layer: int = 1  # which of the feature maps decides
    gate_top: int = 10  # positions in the score that decides
    temperature: float = 0.05
    both_directions: bool = False  # the restoration's features are matched in the input's too
    pixel_weight: float = 1.0  # v
    blur: float = 6 / 256  # sigma, as a share of the picture's width
    top: float = 250 / 512**2  # share of the map's pixels in the score


PRESETS: dict[str, GladConfig] = {
    "nano": GladConfig(codec_stride=4, widths=(32, 48)),
    "edge": GladConfig(),
    "paper": GladConfig(
        channels=3,
        published=True,
        start=750,
        steps=25,
        fallback=350,
        gate_layer=-1,
        pixel_weight=0.0,
        blur=6 / 512,
    ),
}


def build(config: GladConfig) -> Glad:
    """The method with its frozen nets; raises WeightsError for published weights that are absent."""
    if not config.published:
        codec = Unshuffle(config.channels, config.codec_stride)
        net = UNet(config.channels * config.codec_stride**2, config.widths, shared=True)
        return Glad(config, codec, net, load_features(config.stages))
    path = Path(config.weights or "stable-diffusion-v1-4")
    require_parts(path, tuple(NEEDED))
    features = load_dino(path / "dino")
    unet = sd_unet(path)
    unet.enable_gradient_checkpointing()
    prompted = Prompted(unet, prompt_embedding(path, PROMPT), prompt_embedding(path, ""), config.guidance)
    return Glad(config, load_sd_vae(path / "vae", config.channels), prompted, features)


class Prompted(nn.Module):
    """Stable Diffusion's U-Net with a constant prompt: plain to train, guided to inspect."""

    prompt: Tensor
    empty: Tensor

    def __init__(self, unet: Any, prompt: Tensor, empty: Tensor, guidance: float) -> None:
        super().__init__()
        self.unet = unet
        self.guidance = guidance
        self.register_buffer("prompt", prompt)  # (1, 77, 768)
        self.register_buffer("empty", empty)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.answer(x, t, self.prompt.expand(len(x), -1, -1))

    def guided(self, x: Tensor, t: Tensor) -> Tensor:
        """e = e_empty + guidance (e_prompt - e_empty)."""
        words = torch.cat([self.empty.expand(len(x), -1, -1), self.prompt.expand(len(x), -1, -1)])
        empty, prompted = self.answer(torch.cat([x, x]), torch.cat([t, t]), words).float().chunk(2)
        return empty + self.guidance * (prompted - empty)

    def answer(self, x: Tensor, t: Tensor, words: Tensor) -> Tensor:
        answer: Tensor = self.unet(x, t.to(x.device), encoder_hidden_states=words).sample
        return answer


class Glad(nn.Module):
    """The method: `loss` to train, `inspect` to judge along the adaptive chain."""

    spoilt_share = 0.5
    tau: Tensor
    pixel_scale: Tensor

    def __init__(self, config: GladConfig, codec: Codec, net: nn.Module, features: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.codec = codec
        self.net = net
        self.features = features
        self.schedule = scaled_linear(1000) if config.published else cosine(1000)
        self.nearest = nearest_distance if config.published else nearby_distance
        self.register_buffer("tau", torch.tensor(0.35))
        self.register_buffer("pixel_scale", torch.tensor(1.0))

    def fit_statistics(self, good: Tensor) -> None:
        if isinstance(self.codec, Unshuffle):
            self.codec.fit(good)

    def loss(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        with torch.no_grad():
            z_n, z_m = self.codec.encode(batch.clean).float(), self.codec.encode(batch.seen).float()
        t = self.schedule.draw(len(z_n), rng)
        if self.config.blend:
            z_m = z_n.lerp(z_m, (t / len(self.schedule)).view(-1, 1, 1, 1).to(z_n.device))
        eps = torch.randn(z_n.shape, generator=rng).to(z_n.device)
        x_t = self.schedule.mix(z_m, eps, t)
        target = self.schedule.residual(x_t, z_n, t)
        snr = (self.schedule.signal[t] / self.schedule.noise[t]).square()
        weight = (snr.clamp_max(self.config.snr_clamp) / snr).to(z_n.device)
        errors = (self.net(x_t, t).float() - target).square().flatten(1).mean(1)
        return {"residual": (weight * errors).mean()}

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor | None = None) -> Restoration:
        with torch.no_grad():
            z = self.codec.encode(images)
            restored = self.codec.decode(self.restore(z, _one_noise(z, rng), self.tau)[0])
            features, pixels = self.differences(images, restored)
            maps = features + self.config.pixel_weight * self.pixel_scale * pixels
            maps = Blur(self.config.blur * maps.shape[-1]).to(maps.device)(maps)
        count = max(1, round(self.config.top * maps[0].numel()))
        return Restoration(image=restored, map=maps, score=top_mean(maps, count))

    def restore(self, z: Tensor, noise: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """The end of the adaptive chain, and the largest score (B,) of each picture up to its decision."""
        times = timesteps(self.config.start, self.config.steps)
        undecided = torch.ones(len(z), dtype=torch.bool, device=z.device)
        peaks = torch.zeros(len(z), device=z.device)
        x0, e = z, noise
        for index, now in enumerate(times):
            t = torch.full((len(z),), now)
            x = self.schedule.mix(x0, e, t)
            e = self.answer(x, t)
            x0 = self.schedule.clean(x, e, t)
            if index == 0 or not undecided.any():  # at first the chain is the noised input itself
                continue
            rows = undecided.nonzero()[:, 0]
            chain = x0[rows]
            own = self.schedule.clean(self.schedule.mix(z[rows], noise[rows], t[rows]), e[rows], t[rows])
            distance = self.disagreement(own, chain)
            score = top_mean(distance, self.config.gate_top)
            peaks[rows] = peaks[rows].maximum(score)
            far = score > tau
            kept = own if now < self.config.fallback else chain
            fused = fuse(own, chain, distance - tau, self.config.temperature)
            x0[rows] = torch.where(far.view(-1, 1, 1, 1), fused, kept)
            undecided[rows] = ~far & (now >= self.config.fallback)
        return x0, peaks

    def fit_evidence(self, good: Tensor, rng: torch.Generator, stages: Stages = SILENT) -> None:
        """Take tau and the scale of the pixel term from held-back good parts (B, C, H, W)."""
        groups = torch.split(good, 8)
        with torch.no_grad():
            noise = _one_noise(self.codec.encode(good[:1]), rng)
            peaks, features, pixels = [], [], []
            for images in stages.over(groups, "finding what good parts show"):
                z = self.codec.encode(images)
                peaks.append(self.restore(z, noise.expand_as(z), torch.full_like(self.tau, torch.inf))[1])
            self.tau = percentile(torch.cat(peaks), 0.99)
            for images in stages.over(groups, "scaling what good parts show"):
                z = self.codec.encode(images)
                restored = self.codec.decode(self.restore(z, noise.expand_as(z), self.tau)[0])
                by_features, by_pixels = self.differences(images, restored)
                features.append(by_features)
                pixels.append(by_pixels)
        scale = percentile(torch.cat(pixels), 0.995).clamp_min(1e-6)
        self.pixel_scale = percentile(torch.cat(features), 0.995) / scale

    def answer(self, x: Tensor, t: Tensor) -> Tensor:
        """The net's e for x_t, (B, C, h, w)."""
        with autocast(x.device):
            e: Tensor = self.net.guided(x, t) if isinstance(self.net, Prompted) else self.net(x, t)
        return e.float()

    def disagreement(self, own: Tensor, chain: Tensor) -> Tensor:
        """How far the features of two clean latents are apart, (B, 1, h, w)."""
        a, b = self.look(self.codec.decode(torch.cat([own, chain])))[self.config.gate_layer].chunk(2)
        return self.nearest(a, b)

    def differences(self, images: Tensor, restored: Tensor) -> tuple[Tensor, Tensor]:
        """By features and by pixels, both (B, 1, H, W)."""
        total = torch.zeros_like(images[:, :1])
        for layer in self.look(torch.cat([images, restored])):
            a, b = layer.chunk(2)
            distance = self.nearest(a, b)
            if self.config.both_directions:
                distance = distance + self.nearest(b, a)
            total = total + F.interpolate(distance, size=images.shape[-2:], mode="bilinear")
        return total, (images - restored).abs().mean(1, keepdim=True)

    def look(self, images: Tensor) -> list[Tensor]:
        """Feature layers by which pictures are compared."""
        with autocast(images.device):
            layers: list[Tensor] = self.features(images.expand(-1, 3, -1, -1))
        return [layer.float() for layer in layers]


def timesteps(start: int, steps: int) -> tuple[int, ...]:
    """r (N - 1) + 1, ..., r + 1, 1 with r = floor(T0 / N): 750 in 25 steps begins at 721."""
    stride = start // steps
    return tuple(stride * k + 1 for k in reversed(range(steps)))


def fuse(own: Tensor, chain: Tensor, excess: Tensor, temperature: float) -> Tensor:
    """m chain + (1 - m) own, m = sigmoid(excess / temperature): the chain where the two disagree."""
    excess = F.interpolate(excess, size=own.shape[-2:], mode="bilinear")
    return own.lerp(chain, torch.sigmoid(excess.to(own.dtype) / temperature))


def adapted(config: GladConfig, *, channels: int, products: int, weights: Path | None) -> GladConfig:
    """The preset for a data set, of whatever number of products: the network is never told which."""
    return replace(config, channels=channels, weights=str(weights) if weights else None)


def _one_noise(z: Tensor, rng: torch.Generator) -> Tensor:
    """One noise map for all pictures, so that none depends on its place in the batch."""
    return torch.randn(z[:1].shape, generator=rng).to(z.device).expand_as(z)

"""Images to latents and back: pixel-unshuffle with whitened channels, or a Stable Diffusion VAE."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.weights import WeightsError, load_folder

SD_SCALE = 0.18215  # latents of SD 1.x VAEs are multiplied by this to have unit variance


class Codec(Protocol):
    """Images are (B, C, H, W) in [-1, 1]; latents (B, c, H / stride, W / stride) of about unit variance."""

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...


class Unshuffle(nn.Module):
    """Space to depth, each channel whitened: invertible, no weights to fetch, no reconstruction error."""

    mean: Tensor
    spread: Tensor
    between: Tensor

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride
        self.register_buffer("mean", torch.zeros(channels * stride**2))
        self.register_buffer("spread", torch.ones(channels * stride**2))
        kernel = bilinear_cells(stride).repeat(channels, 1, 1, 1)
        self.register_buffer("between", kernel, persistent=False)

    def fit(self, images: Tensor) -> None:
        """Take mean and standard deviation of each latent channel from good parts."""
        latents = space_to_depth(images, self.stride)
        self.mean = latents.mean((0, 2, 3))
        self.spread = latents.std((0, 2, 3)).clamp_min(1e-3)

    def encode(self, images: Tensor) -> Tensor:
        return self._whitened(space_to_depth(images, self.stride))

    def encode_grown(self, cells: Tensor) -> Tensor:
        """The latents of the picture that a colour for each latent cell (B, C, h, w) grows to, bilinearly.

        One small convolution: OpenVINO takes 50 times as long to grow the picture and cut it up again.
        """
        edged = F.pad(cells, (1, 1, 1, 1), mode="replicate")
        return self._whitened(F.conv2d(edged, self.between, groups=self.channels))

    def decode(self, latents: Tensor) -> Tensor:
        pixels = latents * _per_channel(self.spread) + _per_channel(self.mean)
        return F.pixel_shuffle(pixels, self.stride)

    def _whitened(self, latents: Tensor) -> Tensor:
        return (latents - _per_channel(self.mean)) / _per_channel(self.spread)


class StableDiffusionVae(nn.Module):
    """The frozen f8 c4 autoencoder of SD 1.x through diffusers; encode gives the posterior's mean.

    Mono pictures are shown to it as RGB and come back as the mean of its colours. It sees (x - centre) /
    spread, by colour: [-1, 1] as it is, or what the one was fine-tuned in.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, vae: Any, channels: int = 3) -> None:
        super().__init__()
        self.vae = vae
        self.channels = channels
        self.register_buffer("centre", torch.zeros(1, 3, 1, 1))
        self.register_buffer("spread", torch.ones(1, 3, 1, 1))

    def coloured(self, images: Tensor) -> Tensor:
        """RGB as the autoencoder sees it, (B, 3, H, W)."""
        return (images.expand(-1, 3, -1, -1) - self.centre) / self.spread

    def encode(self, images: Tensor) -> Tensor:
        latents: Tensor = self.vae.encode(self.coloured(images)).latent_dist.mean * SD_SCALE
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.vae.decode(latents / SD_SCALE).sample * self.spread + self.centre
        return images if self.channels == 3 else images.mean(1, keepdim=True)


def load_sd_vae(path: Path, channels: int = 3) -> StableDiffusionVae:
    """A `diffusers` AutoencoderKL folder (config.json and weights).

    Raises WeightsError saying what to download when `path` has none, or not all; pickles are not read.
    """
    remedy = (
        "download the folder of stabilityai/sd-vae-ft-ema (83.65 M parameters, safetensors) "
        "and give its path with --weights"
    )
    if not (path / "config.json").is_file():
        raise WeightsError(f"{path}: no config.json of an AutoencoderKL; {remedy}")
    from diffusers import AutoencoderKL

    vae = load_folder(AutoencoderKL, path, remedy, low_cpu_mem_usage=False)
    return StableDiffusionVae(vae.requires_grad_(False).eval(), channels)


def space_to_depth(images: Tensor, stride: int) -> Tensor:
    """(B, C, H, W) to (B, C * stride^2, H / stride, W / stride), as pixel_unshuffle.

    Written out because the exporter freezes the batch size in its form of pixel_unshuffle.
    """
    _, channels, height, width = images.shape
    rows, columns = height // stride, width // stride
    cells = images.reshape(-1, channels, rows, stride, columns, stride).permute(0, 1, 3, 5, 2, 4)
    return cells.reshape(-1, channels * stride**2, rows, columns)


def bilinear_cells(stride: int) -> Tensor:
    """What each pixel of a cell takes of 3 x 3 cells that grow bilinearly, (stride^2, 1, 3, 3)."""
    middle = (torch.arange(stride) + 0.5) / stride - 0.5  # of a pixel, in cells from its cell's own
    row = torch.stack([F.relu(-middle), 1 - middle.abs(), F.relu(middle)], 1)
    return torch.einsum("yi,xj->yxij", row, row).reshape(stride**2, 1, 3, 3)


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)

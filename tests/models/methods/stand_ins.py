"""What the tests of every method are shown: pictures, seeds, and networks that stand for trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from models.parts.batch import Batch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 2, channels: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, 64, 64, generator=generator(seed)) * 2 - 1


def batch(good: Tensor, seen: Tensor | None = None) -> Batch:
    """Good pictures and what is shown of them; a defect is wherever the two differ."""
    seen = good if seen is None else seen
    products = torch.zeros(len(good), dtype=torch.long)
    return Batch(clean=good, seen=seen, mask=(good != seen).any(1, keepdim=True).float(), products=products)


def stirred(module: nn.Module, seed: int = 0) -> Any:
    """The module with small random weights everywhere, as if it had been trained: nothing is zero."""
    rng = generator(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng))
    return module


class Remembered(nn.Module):
    """Answers zero and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, t: Tensor, products: Tensor | None = None) -> Tensor:
        self.asked.append((x, t))
        return torch.zeros_like(x)


def save_tiny_vae(folder: Path) -> AutoencoderKL:
    """A made-up VAE with the published keys."""
    torch.manual_seed(2)
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    vae.save_pretrained(folder)
    return vae

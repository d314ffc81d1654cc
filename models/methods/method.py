"""What every method is: loss terms to train with, and an inspection to be judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What a method makes of a batch of images in [-1, 1]."""

    image: Tensor  # (B, C, H, W), what a good part would look like
    map: Tensor  # (B, 1, H, W), anomaly evidence, larger is worse
    score: Tensor  # (B,)


class Method(Protocol):
    """A trainable module; `models/train.py` owns everything but the mathematics."""

    def fit_statistics(self, good: Tensor) -> None:
        """Take constants, such as the whitening of the latents, from good parts (B, C, H, W)."""

    def fit_evidence(self, good: Tensor) -> None:
        """After training: take the scale of the maps from held-back good parts (B, C, H, W)."""

    def loss(self, good: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """Named scalar terms, which the trainer adds up; `good` is (B, C, H, W) in [-1, 1]."""

    def restore(self, images: Tensor) -> Tensor:
        """The one-step restoration that a student learns from, (B, C, H, W) in and out."""

    def inspect(self, images: Tensor, rng: torch.Generator) -> Restoration:
        """The method's own full inference; equal seeds give equal results on a CPU."""

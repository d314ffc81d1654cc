"""What every method is: loss terms to train with, and an inspection to be judged by.

A method's file offers `PRESETS` (nano, edge, paper), `adapted(config, ...)` to fit a preset to a data set,
and `build(config)`, which raises WeightsError when published weights are asked for and absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.parts.batch import Batch
from models.stages import SILENT, Stages


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What a method makes of a batch of images in [-1, 1]."""

    image: Tensor  # (B, C, H, W), what a good part would look like
    map: Tensor  # (B, 1, H, W), anomaly evidence, larger is worse
    score: Tensor  # (B,)


class Method(Protocol):
    """A trainable module; `models/training/train.py` owns everything but the mathematics.

    Every random number comes from `rng`, a generator on the CPU. A picture's result never depends on the
    others of its batch.
    """

    spoilt_share: float  # of its training pictures that get a synthetic defect; 0: good parts only

    def to(self, device: torch.device, /) -> object: ...

    def fit_statistics(self, good: Tensor) -> None:
        """Before training: take constants, such as the whitening of latents, from good parts (B, C, H, W)."""

    def fit_evidence(self, good: Tensor, rng: torch.Generator, stages: Stages = SILENT) -> None:
        """After training: take thresholds and scales of the maps from held-back good parts (B, C, H, W)."""

    def loss(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Named scalar terms, which the trainer adds up."""

    def inspect(self, images: Tensor, rng: torch.Generator, products: Tensor | None = None) -> Restoration:
        """The method's own full inference, without gradients; `products` (B,) where they are known.

        Equal seeds give equal results, bit for bit, on a CPU.
        """

"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Good parts, some of them with a synthetic defect; images (B, C, H, W) in [-1, 1]."""

    clean: Tensor
    seen: Tensor  # as `clean`, or spoilt
    mask: Tensor  # (B, 1, H, W), 1 where `seen` differs for a defect's sake, else 0
    products: Tensor  # (B,) index of the product that each picture shows

    @property
    def spoilt(self) -> Tensor:
        """(B,) bool: which pictures have a defect."""
        return self.mask.flatten(1).any(1)

    def to(self, device: torch.device) -> Batch:
        return Batch(
            clean=self.clean.to(device),
            seen=self.seen.to(device),
            mask=self.mask.to(device),
            products=self.products.to(device),
        )

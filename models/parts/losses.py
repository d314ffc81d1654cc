"""Losses on defect masks; logits and targets (B, 1, H, W), targets in 0..1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Mean focal cross-entropy (Lin et al. 2017, eq. 4).

    With `alpha`, defects weigh alpha and the rest 1 - alpha (eq. 5).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    wrong = 1 - torch.exp(-entropy)
    if alpha is not None:
        entropy = entropy * (alpha * target + (1 - alpha) * (1 - target))
    return (wrong**gamma * entropy).mean()


def soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of the probabilities, pooled over the batch so that good pictures count too."""
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * target).sum() + 1
    return 1 - overlap / (probability.sum() + target.sum() + 1)

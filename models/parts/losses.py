"""Losses on defect masks, logits and targets (B, 1, H, W), targets in 0..1; and on what is restored."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FAINT = 4 / 127.5  # of a defect's contrast, 4 grey levels: less of it does not count more
UNTOUCHED = 8 / 127.5  # 8 grey levels where nothing is to be restored weigh as much as a whole defect


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


def left_over(restored: Tensor, clean: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
    """The share of each defect that is left, and what was changed beside it; images (B, C, H, W).

    Each spoilt picture counts alike, however small or faint its defect: in a mean over pixels it costs next
    to nothing to give everything back.
    """
    wrong, contrast = ((one - clean).abs().mean(1, keepdim=True) for one in (restored, seen))
    size = mask.sum((1, 2, 3))
    left = (wrong * mask).sum((1, 2, 3)) / ((contrast + FAINT) * mask).sum((1, 2, 3)).clamp_min(1e-6)
    beside = (wrong * (1 - mask)).sum() / (1 - mask).sum().clamp_min(1) / UNTOUCHED
    return left.sum() / (size > 0).sum().clamp_min(1) + beside

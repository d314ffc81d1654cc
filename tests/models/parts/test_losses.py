"""The focal loss weighs defects and the rest as it is told, and not at all when it is not told."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.parts.losses import focal

SEEDS = st.integers(0, 2**31)


def answers(seed: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(2, 1, 8, 8, generator=rng), (torch.rand(2, 1, 8, 8, generator=rng) > 0.8).float()


@given(seed=SEEDS, gamma=st.sampled_from([0.0, 2.0, 4.0]), alpha=st.floats(0, 1))
def test_it_is_the_published_formula(seed: int, gamma: float, alpha: float) -> None:
    logits, target = answers(seed)
    right = torch.where(target > 0, torch.sigmoid(logits), torch.sigmoid(-logits)).double()
    plain = -((1 - right) ** gamma) * right.log()
    weighted = torch.where(target > 0, alpha, 1 - alpha) * plain
    assert focal(logits, target, gamma).item() == pytest.approx(plain.mean().item(), abs=1e-5)
    assert focal(logits, target, gamma, alpha).item() == pytest.approx(weighted.mean().item(), abs=1e-5)


@given(seed=SEEDS)
def test_half_an_alpha_halves_the_loss(seed: int) -> None:
    logits, target = answers(seed)
    assert torch.allclose(focal(logits, target, 4.0, 0.5), focal(logits, target, 4.0) / 2)


def test_a_pixel_that_is_certainly_right_has_no_loss_and_a_finite_gradient() -> None:
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = focal(logits, torch.tensor([[[[1.0, 0.0]]]]), 4.0, 0.5)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()

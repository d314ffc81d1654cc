"""Losses on masks weigh as they are told; what is restored counts by the share of a defect that is left."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.parts.losses import focal, left_over

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


def spoilt(contrast: float, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """A clean grey picture, the same with a square that stands out by so much, and where."""
    clean = torch.zeros(1, 1, 32, 32)
    mask = torch.zeros_like(clean)
    mask[..., :side, :side] = 1
    return clean, clean + contrast * mask, mask


@given(contrast=st.floats(0.1, 1), side=st.integers(1, 31))
def test_what_is_given_back_is_left_over_however_small_or_faint(contrast: float, side: int) -> None:
    clean, seen, mask = spoilt(contrast, side)
    assert 0.7 < float(left_over(seen, clean, seen, mask)) < 1
    assert float(left_over(clean, clean, seen, mask)) == 0


def test_what_is_changed_beside_a_defect_costs() -> None:
    clean, seen, mask = spoilt(0.5, 8)
    restored = clean + (8 / 127.5) * (1 - mask)
    assert float(left_over(restored, clean, seen, mask)) == pytest.approx(1, abs=1e-5)


def test_good_pictures_only_ask_to_be_left_alone() -> None:
    clean, _, mask = spoilt(0.5, 8)
    none = torch.zeros_like(mask)
    assert float(left_over(clean, clean, clean, none)) == 0
    assert float(left_over(clean + 8 / 127.5, clean, clean, none)) == pytest.approx(1, abs=1e-5)

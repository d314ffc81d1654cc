"""The guide adds exactly 0 before training, learns from its first step, and does not jump at it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.parts.guide import FeatureFusion, Guide

FINE, COARSE = (6, 8, 8), 8


def maps(widths: tuple[int, ...], side: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(side)
    return [torch.randn(2, width, side, side, generator=rng) for width in widths]


def first_step(fusion: FeatureFusion, rate: float) -> Tensor:
    """What the fusion adds to maps of zeros after one step of Adam towards ones."""
    silent = [torch.zeros(2, COARSE, 4, 4)] * 3
    optimiser = torch.optim.Adam(fusion.parameters(), lr=rate)
    pattern = torch.randn(2, COARSE, 4, 4, generator=torch.Generator().manual_seed(9))
    sum((one * pattern).sum() for one in fusion(maps(FINE, 8), silent)).backward()
    optimiser.step()
    with torch.no_grad():
        return torch.stack(fusion(maps(FINE, 8), silent))


def test_an_untrained_fusion_adds_exactly_0() -> None:
    fusion = FeatureFusion(FINE, COARSE, count=3)
    coarse = maps((COARSE,) * 3, 4)
    fused = fusion(maps(FINE, 8), coarse)
    for before, after in zip(coarse, fused, strict=True):
        assert torch.equal(after, torch.nn.functional.silu(before))
    assert not any(one.any() for one in fusion(maps(FINE, 8), [torch.zeros(2, COARSE, 4, 4)] * 3))


def test_every_finer_map_joins_every_coarse_one() -> None:
    fusion = FeatureFusion(FINE, COARSE, count=3)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    coarse = maps((COARSE,) * 3, 4)
    before = fusion(maps(FINE, 8), coarse)
    for index in range(3):
        fine = maps(FINE, 8)
        fine[index] = fine[index] + torch.randn_like(fine[index])
        assert all(not torch.equal(a, b) for a, b in zip(before, fusion(fine, coarse), strict=True))


def test_the_published_fusion_has_the_published_size_and_shapes() -> None:
    with torch.device("meta"):
        fusion = FeatureFusion((640, 1280, 1280), 1280, count=3)
        fine = [torch.zeros(1, width, 8, 8) for width in (640, 1280, 1280)]
        fused = fusion(fine, [torch.zeros(1, 1280, 4, 4)] * 3)
    assert sum(parameter.numel() for parameter in fusion.parameters()) == 110_592_000
    assert [one.shape for one in fused] == [(1, 1280, 4, 4)] * 3


def test_the_first_step_moves_the_fusion_a_little_and_not_by_a_whole_normalised_map() -> None:
    moved = first_step(FeatureFusion(FINE, COARSE, count=3), 1e-4)
    assert 0 < moved.abs().max() < 0.05
    usual = FeatureFusion(FINE, COARSE, count=3)
    usual.norm.eps = 1e-5
    assert first_step(usual, 1e-4).abs().max() > 0.3


@pytest.mark.parametrize("widths", [(16, 24), (8, 16, 24)])
def test_an_untrained_guide_answers_0_at_the_coarsest_level(widths: tuple[int, ...]) -> None:
    guide = Guide(4, widths)
    x, hint = maps((4, 4), 16)
    answer = guide(x, torch.tensor([0, 999]), hint)
    side = 16 >> (len(widths) - 1)
    assert answer.shape == (2, 24, side, side)
    assert not answer.any()


def test_an_untrained_guide_learns_from_its_first_step() -> None:
    guide = Guide(4, (8, 16, 24))
    x, hint = maps((4, 4), 16)
    answer = guide(x, torch.tensor([0, 999]), hint)
    (answer * torch.randn(answer.shape, generator=torch.Generator().manual_seed(9))).sum().backward()
    assert all(shrink.weight.grad.any() for shrink in guide.fusion.shrink)
    assert all(out.weight.grad.any() for out in guide.out)

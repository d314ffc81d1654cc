"""Latents are corrupted in part: whole patches are hidden, by noise or by others, and the rest stays."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.parts.corruption import SMALL, hide, partly, shuffle_patches
from models.parts.schedule import cosine

SEEDS = st.integers(0, 2**31)
CELLS = st.sampled_from([1, 2, 4, 8])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(seed: int = 0) -> Tensor:
    return torch.randn(3, 5, 16, 16, generator=generator(seed))


@given(seed=SEEDS, cell=CELLS, ratio=st.floats(0, 1))
def test_a_mask_hides_whole_cells_of_an_exact_number(seed: int, cell: int, ratio: float) -> None:
    z = latents()
    mask = hide(z, cell, ratio, generator(seed))
    assert mask.shape == (3, 1, 16, 16)
    assert mask.dtype == torch.bool
    cells = mask.view(3, 16 // cell, cell, 16 // cell, cell).float().mean((2, 4))
    assert set(cells.unique().tolist()) <= {0.0, 1.0}
    share = torch.rand(3, generator=generator(seed)) * ratio
    count = (16 // cell) ** 2
    assert torch.equal(cells.sum((1, 2)), count - (count * (1 - share)).int().float())


def test_a_mask_of_no_share_hides_nothing_and_larger_shares_hide_more() -> None:
    z = latents()
    assert not hide(z, 2, 0.0, generator()).any()
    assert hide(z, 2, 0.9, generator(1)).sum() > hide(z, 2, 0.3, generator(1)).sum() > 0


@given(seed=SEEDS, cell=CELLS)
def test_shuffling_permutes_the_patches_of_the_whole_batch(seed: int, cell: int) -> None:
    z = torch.arange(3 * 5 * 16 * 16, dtype=torch.float32).view(3, 5, 16, 16)
    shuffled = shuffle_patches(z, cell, generator(seed))

    def patches(x: Tensor) -> list[tuple[float, ...]]:
        cut = x.unfold(2, cell, cell).unfold(3, cell, cell).permute(0, 2, 3, 1, 4, 5)
        return sorted(tuple(one.flatten().tolist()) for one in cut.reshape(-1, 5, cell, cell))

    assert patches(shuffled) == patches(z)


def test_shuffling_moves_patches_between_pictures() -> None:
    z = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 16, 16)
    assert len(shuffle_patches(z, 4, generator())[0].unique()) > 1


@given(seed=SEEDS, t=st.integers(0, 9))
def test_what_is_not_hidden_stays_to_the_bit(seed: int, t: int) -> None:
    z, schedule = latents(), cosine(10)
    z_t = partly(z, torch.full((3,), t), schedule, SMALL, generator(seed))
    changed = (z_t != z).any(1)
    assert 0 <= changed.float().mean() <= SMALL.hidden + 1e-6
    assert torch.equal(z_t, partly(z, torch.full((3,), t), schedule, SMALL, generator(seed)))

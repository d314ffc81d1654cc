"""DeCo-Diff's partial corruption of latents: some patches are hidden by noise or by foreign ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.parts.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Which patches are hidden, and by what (DeCo-Diff, section 3.2; a larger share is foreign)."""

    cells: tuple[int, ...] = (1, 2, 4, 8, 16)  # side of a hidden patch, in latent cells
    odds: tuple[float, ...] = (0.30, 0.25, 0.20, 0.15, 0.10)
    hidden: float = 0.7  # upper end of the share of hidden cells
    shuffled: float = 0.5  # upper end of the share of hidden cells that get foreign patches


USUAL = Patches()
SMALL = Patches(cells=(1, 2, 4), odds=(0.4, 0.4, 0.2))  # for tiles of a few latent cells


def partly(z: Tensor, t: Tensor, schedule: Schedule, patches: Patches, rng: torch.Generator) -> Tensor:
    """z_t = (1 - m) z + m (A_t z + S_t n), shapes (B, C, H, W); m = 1 on hidden patches, t (B,)."""
    cell = patches.cells[int(torch.multinomial(torch.tensor(patches.odds), 1, generator=rng))]
    hidden = hide(z, cell, patches.hidden, rng)
    foreign = hide(z, cell, patches.shuffled, rng)
    others = shuffle_patches(z, cell, rng)
    noise = torch.where(foreign, others, torch.randn(z.shape, generator=rng).to(z.device))
    return torch.where(hidden, schedule.mix(z, noise, t), z)


def hide(z: Tensor, cell: int, ratio_max: float, rng: torch.Generator) -> Tensor:
    """A random choice of cell x cell patches, (B, 1, H, W) bool; each sample's share ~ U(0, ratio_max)."""
    batch, _, height, width = z.shape
    rows, columns = height // cell, width // cell
    count = rows * columns
    ratio = torch.rand(batch, generator=rng) * ratio_max
    kept = (count * (1 - ratio)).int()  # exactly this many patches stay
    rank = torch.rand(batch, count, generator=rng).argsort(1).argsort(1)
    chosen = (rank >= kept[:, None]).view(batch, 1, rows, columns)
    return chosen.repeat_interleave(cell, 2).repeat_interleave(cell, 3).to(z.device)


def shuffle_patches(z: Tensor, cell: int, rng: torch.Generator) -> Tensor:
    """All cell x cell patches of the whole batch, permuted jointly."""
    batch, channels, height, width = z.shape
    rows, columns = height // cell, width // cell
    patches = z.reshape(batch, channels, rows, cell, columns, cell).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(batch * rows * columns, channels, cell, cell)
    patches = patches[torch.randperm(len(patches), generator=rng).to(z.device)]
    patches = patches.view(batch, rows, columns, channels, cell, cell).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(batch, channels, height, width)

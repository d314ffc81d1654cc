"""What the surroundings say of places that do not count: push-pull (Gortler et al. 1996, section 5.1.3).

Pull: means of what counts, on coarser and coarser grids. Push: from the coarsest down, each cell takes what
counts around it, and the coarser where that is little. Fixed arithmetic without weights to learn.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

NOTHING = 1e-4  # of a cell that does not count, so that there is always something
COARSER = 0.05  # how much the coarser grid counts beside a cell's whole neighbourhood


def filled(cells: Tensor, counts: Tensor) -> Tensor:
    """What the neighbourhood of each cell is, shape of `cells` (B, c, H, W); `counts` (B, 1, H, W) in 0..1.

    A hole that leaves nothing on the coarsest grid takes the mean of what counts; where nothing does, of all.
    """
    grids = [(cells * counts, counts)]
    while all(side % 2 == 0 for side in grids[-1][0].shape[-2:]):
        total, count = grids[-1]
        grids.append((F.avg_pool2d(total, 2), F.avg_pool2d(count, 2)))
    total, count = grids.pop()
    weight = counts + NOTHING
    usual = (cells * weight).mean((2, 3), keepdim=True) / weight.mean((2, 3), keepdim=True)
    found = (total + COARSER**2 * usual) / (count + COARSER**2)
    for total, count in reversed(grids):
        coarser = F.interpolate(found, scale_factor=2.0, mode="bilinear")
        found = (_around(total) + COARSER * coarser) / (_around(count) + COARSER)
    return found


def _around(cells: Tensor) -> Tensor:
    """Each cell with those next to it, so that a filling shows no blocks."""
    return F.avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)

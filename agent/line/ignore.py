"""Regions that count for nothing: map cells whose middle lies in one have no part in map, score or defects.

How the score of a frame is then taken. It is its worst tile's, as ever. A tile that no region touches keeps
the score of the engine. That of any other tile is taken anew from its map: the mean of the `top` largest
cells that are left, of all where fewer are left, and 0 where none is. Beyond the edge of a small frame,
where its border is repeated, a cell counts as its nearest one in the frame does. In the map of the frame
cells that are left out are 0, which is below every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from agent.errors import PlumblineError
from agent.messages import Flags, Floats, Prepared

Polygon: TypeAlias = tuple[tuple[float, float], ...]  # x, y of its corners

KEPT = 64  # masks; parts differ in height


class NothingLeftError(PlumblineError):
    """What is ignored leaves nothing to judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Polygons in frame pixels, where 0 is the outer edge of pixel 0, and what a score is made of."""

    polygons: tuple[Polygon, ...]
    top: int  # map pixels averaged into the score

    def cells(self, prepared: Prepared, stride_px: int, *, first_line: int = 0) -> tuple[Flags, int]:
        """(h, w): the cells of this frame's map that are left out; and `top`.

        `first_line` counts from where its part begins. Raises NothingLeftError when it is all of them.
        """
        mask = _mask(self.polygons, prepared.shape, prepared.scale, stride_px, first_line)
        if mask.all():
            raise NothingLeftError("the regions to ignore cover the whole frame; make them smaller")
        return mask, self.top


def leave_out(
    scores: Floats, maps: Floats, prepared: Prepared, mask: Flags, top: int
) -> tuple[Floats, Floats]:
    """Scores (N,) and maps (N, h, w) of a frame's tiles without the cells of `mask`, by the rules above."""
    scores, maps = scores.copy(), maps.copy()
    stride = prepared.tiles.shape[1] // maps.shape[1]
    rows, columns = (np.arange(side) for side in maps.shape[1:])
    for number, (x, y) in enumerate(prepared.origins):
        down = np.minimum(-(-y // stride) + rows, mask.shape[0] - 1)
        across = np.minimum(-(-x // stride) + columns, mask.shape[1] - 1)
        out = mask[np.ix_(down, across)]
        if out.any():
            scores[number] = _score(maps[number][~out], top)
            maps[number][out] = 0.0
    return scores, maps


def _score(left: Floats, top: int) -> float:
    """NaN stays: what is no number decides nothing."""
    if not left.size:
        return 0.0
    return float(np.sort(left)[-top:].mean())


@lru_cache(maxsize=KEPT)
def _mask(
    polygons: tuple[Polygon, ...],
    shape: tuple[int, int],
    scale: float,
    stride_px: int,
    first_line: int,
) -> Flags:
    ys, xs = (_middles(side, stride_px) / scale for side in shape)
    mask = np.zeros((len(ys), len(xs)), np.bool_)
    for polygon in polygons:
        mask |= inside(polygon, xs, ys + first_line)
    mask.flags.writeable = False
    return mask


def _middles(side_px: int, stride_px: int) -> npt.NDArray[np.float64]:
    """Of the cells along one side, in scaled pixels; of the last one, of the piece of it in the frame."""
    begins = np.arange(0, side_px, stride_px, dtype=np.float64)
    return (begins + np.minimum(begins + stride_px, side_px)) / 2


def inside(polygon: Polygon, xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> Flags:
    """(len(ys), len(xs)): which points lie in it, by the even-odd rule."""
    found = np.zeros((len(ys), len(xs)), np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        rows = np.flatnonzero((y1 <= ys) != (y2 <= ys))
        if len(rows):
            crossings = x1 + (ys[rows] - y1) * ((x2 - x1) / (y2 - y1))
            found[rows] ^= xs[None, :] >= crossings[:, None]
    return found

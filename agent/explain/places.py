"""Where a box of the frame lies in tiles, and what stands there: pure."""

from __future__ import annotations

import math

import cv2
import numpy as np

from agent.explain.form import FEATURES_STRIDE_PX
from agent.messages import Box, Flags, Floats, Prepared


def vector_of(
    features: Floats, prepared: Prepared, box: Box, *, hot: Flags | None = None, stride_px: int = 4
) -> Floats:
    """Of a box in frame pixels, the mean of the cells that it touches: (channels,) of (N, channels, h, w).

    With `hot`, the places (h, w) of the frame's map that belong to a defect, `stride_px` apart in the scaled
    frame, a cell counts as much as it has of them. Of overlapping tiles that one which has most of the box
    counts, and of several such the first.
    """
    tile_px = prepared.tiles.shape[1]
    left, top, right, bottom = _scaled(box, prepared.scale)
    shares = [
        _shared(left, right, x, x + tile_px) * _shared(top, bottom, y, y + tile_px)
        for x, y in prepared.origins
    ]
    index = int(np.argmax(shares))
    x, y = prepared.origins[index]
    grid = features.shape[2]
    rows, columns = _cells(top - y, bottom - y, grid), _cells(left - x, right - x, grid)
    cells = features[index, :, rows, columns].reshape(features.shape[1], -1)
    weights = np.ones(cells.shape[1], np.float32)
    if hot is not None:
        of_box = _of_tile(hot, tile_px // stride_px, (-(-x // stride_px), -(-y // stride_px)), grid)[
            rows, columns
        ].ravel()
        weights = of_box if of_box.any() else weights
    vector: Floats = cells @ (weights / weights.sum())
    return vector


def _of_tile(hot: Flags, side: int, first: tuple[int, int], grid: int) -> Floats:
    """How hot each cell of `features` is, (grid, grid), of a tile with `side` places from `first` on."""
    left, top = first
    whole = np.zeros((side, side), np.float32)
    part = hot[top : top + side, left : left + side]
    whole[: part.shape[0], : part.shape[1]] = part
    shares: Floats = cv2.resize(whole, (grid, grid), interpolation=cv2.INTER_AREA)
    return shares


def _scaled(box: Box, scale: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in pixels of the scaled frame."""
    x, y, width, height = box
    return x * scale, y * scale, (x + width) * scale, (y + height) * scale


def _shared(begin: float, end: float, first: float, last: float) -> float:
    return max(0.0, min(end, last) - max(begin, first))


def _cells(begin: float, end: float, count: int) -> slice:
    """Cells that a stretch of tile pixels touches, at least one."""
    first = min(max(math.floor(begin / FEATURES_STRIDE_PX), 0), count - 1)
    return slice(first, max(first + 1, min(math.ceil(end / FEATURES_STRIDE_PX), count)))

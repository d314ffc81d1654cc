"""One vector for one defect: where it lies in a tile of its own, and what its features are there. Pure.

The tile is cut with the defect in its middle, out of the frame at the model's scale. Of the coarsest features
two things count, each as a direction: their mean over the defect, and how that differs from the whole tile's.
Finer strides, the rest of the pyramid and the defect's size and form were measured and did not help
(DECISIONS.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from agent.line import tiles
from agent.line.infer import lay_out
from agent.messages import Box, Flags, Floats, Pixels, Prepared

PARTS = 2  # of a vector: the defect's mean, and its contrast with the tile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """A tile (tile, tile, C) around a defect; `weights` (g, g): how much of each cell of features is it."""

    tile: Pixels
    weights: Floats


def cut_around(
    prepared: Prepared, evidence: Floats, threshold: float, boxes: Sequence[Box], *, stride_px: int, grid: int
) -> list[Cut]:
    """A cut for each box in frame pixels: of it counts what is at or above the threshold in `evidence`.

    `evidence` (h, w) is the map of the whole scaled frame, a cell for each `stride_px`.
    """
    level = min(float(np.float32(threshold)), float(evidence.max()))
    return cut_where(prepared, evidence >= np.float32(level), boxes, stride_px=stride_px, grid=grid)


def cut_where(
    prepared: Prepared, hot: Flags, boxes: Sequence[Box], *, stride_px: int, grid: int
) -> list[Cut]:
    """As `cut_around`, of cells (h, w) that are told."""
    picture = lay_out(prepared.tiles, prepared.origins, prepared.shape)
    side = prepared.tiles.shape[1]
    return [_cut(picture, hot, _scaled(box, prepared.scale), side, stride_px, grid) for box in boxes]


def vector_of(features: Floats, weights: Floats, coarsest: int) -> Floats:
    """(2 c,) of features (C, g, g), whose last `coarsest` channels count, and weights (g, g)."""
    cells = features[-coarsest:].reshape(coarsest, -1)  # (c, g * g)
    flat = weights.reshape(-1)
    mean = cells @ (flat / flat.sum())
    contrast = mean - cells.mean(axis=1)
    return np.concatenate([_direction(mean), _direction(contrast)]).astype(np.float32)


def _cut(
    picture: Pixels, hot: Flags, box: tuple[float, float, float, float], side: int, stride_px: int, grid: int
) -> Cut:
    left, top, right, bottom = box
    x = _origin((left + right) / 2, side, picture.shape[1])
    y = _origin((top + bottom) / 2, side, picture.shape[0])
    within = np.zeros(hot.shape, np.bool_)
    rows, columns = _cells(top, bottom, stride_px), _cells(left, right, stride_px)
    within[rows, columns] = hot[rows, columns]
    weights = _on_grid(within, x, y, side, stride_px, grid)
    if not weights.any():  # the middle of a large defect may hold none of it
        whole = np.zeros(hot.shape, np.bool_)
        whole[rows, columns] = True
        weights = _on_grid(whole, x, y, side, stride_px, grid)
    return Cut(
        tile=tiles.cut(picture, ((x, y),), side)[0],
        weights=weights if weights.any() else np.ones((grid, grid), np.float32),
    )


def _on_grid(cells: Flags, x: int, y: int, side: int, stride_px: int, grid: int) -> Floats:
    """How much of each of (grid, grid) cells of the tile at x, y lies in the map's `cells`."""
    rows, columns = ((np.arange(side) + first) // stride_px for first in (y, x))
    inside = np.zeros((side, side), np.float32)
    down, along = rows < cells.shape[0], columns < cells.shape[1]
    inside[np.ix_(down, along)] = cells[np.ix_(rows[down], columns[along])]
    shares: Floats = cv2.resize(inside, (grid, grid), interpolation=cv2.INTER_AREA).astype(np.float32)
    return shares


def _origin(middle: float, side: int, length: int) -> int:
    return round(min(max(middle - side / 2, 0), max(length - side, 0)))


def _scaled(box: Box, scale: float) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x * scale, y * scale, (x + width) * scale, (y + height) * scale


def _cells(begin: float, end: float, stride_px: int) -> slice:
    first = int(begin // stride_px)
    return slice(first, max(first + 1, -(-int(np.ceil(end)) // stride_px)))


def _direction(vector: Floats) -> Floats:
    """Of length 1; of nothing, nothing."""
    length = float(np.linalg.norm(vector))
    return vector if length == 0 else vector / np.float32(length)

"""A frame as square tiles that cover it, evenly spread and overlapping."""

from __future__ import annotations

import numpy as np

from agent.messages import Pixels


def plan(height: int, width: int, tile: int, overlap: int) -> tuple[tuple[int, int], ...]:
    """The x, y of each tile, row by row: every pixel covered, the last tile flush with the border.

    Neighbours overlap by at least `overlap`. Along a side shorter than the tile there is one origin,
    0: `cut` pads the rest by repeating the border.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a frame of {width} x {height} px has nothing to tile; check the camera")
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap {overlap} must be at least 0 and below the tile of {tile} px")
    return tuple((x, y) for y in _origins(height, tile, overlap) for x in _origins(width, tile, overlap))


def _origins(side: int, tile: int, overlap: int) -> list[int]:
    if side <= tile:
        return [0]
    steps = -(-(side - tile) // (tile - overlap))
    return [step * (side - tile) // steps for step in range(steps + 1)]


def cut(image: Pixels, origins: tuple[tuple[int, int], ...], tile: int) -> Pixels:
    """(N, tile, tile, channels), contiguous; what lies beyond the frame repeats its border."""
    tiles = np.empty((len(origins), tile, tile, image.shape[2]), np.uint8)
    for target, (x, y) in zip(tiles, origins, strict=True):
        source = image[y : y + tile, x : x + tile]
        height, width = source.shape[:2]
        target[:height, :width] = source
        target[:height, width:] = source[:, -1:]
        target[height:] = target[height - 1]
    return tiles

"""The maps of overlapping tiles as one map of the frame, and its defects in frame pixels.

The map has one cell for each `stride` pixels of the scaled frame. Tiles that do not start on a cell are
placed up to one cell late, so positions hold within a stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from agent.messages import Defect, Floats


def mosaic(maps: Floats, origins: tuple[tuple[int, int], ...], tile: int, shape: tuple[int, int]) -> Floats:
    """The map of a frame of `shape` (height, width) from (N, h, w) tile maps, by their maximum.

    Tiles that cover the frame leave no cell empty; cells that no tile covers are -inf.
    """
    stride = _stride(maps, tile)
    height, width = (-(-side // stride) for side in shape)
    merged = np.full((height, width), -np.inf, np.float32)
    for one, (x, y) in zip(maps, origins, strict=True):
        # Rounding up leaves no gap between neighbours and lets the last tile end with the frame.
        top, left = -(-y // stride), -(-x // stride)
        place = merged[top : top + one.shape[0], left : left + one.shape[1]]
        np.maximum(place, one[: place.shape[0], : place.shape[1]], out=place)
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A defect, and the map columns in which it touches the first and the last row of the map."""

    defect: Defect
    top: frozenset[int]
    bottom: frozenset[int]


def defects(
    mosaic: Floats,
    threshold: float,
    *,
    stride: int,
    scale: float,
    frame_shape: tuple[int, int],
    min_area_px: int,
) -> tuple[Defect, ...]:
    """The defects of `regions` of at least `min_area_px`, strongest first."""
    found = regions(mosaic, threshold, stride=stride, scale=scale, frame_shape=frame_shape)
    return tuple(region.defect for region in found if region.defect.area_px >= min_area_px)


def regions(
    mosaic: Floats, threshold: float, *, stride: int, scale: float, frame_shape: tuple[int, int]
) -> tuple[Region, ...]:
    """The connected regions (8 neighbours) at or above the threshold, strongest first.

    `stride` is scaled-frame pixels per cell, `scale` scaled-frame pixels per frame pixel; boxes, areas
    and centroids are in pixels of the frame, inside `frame_shape` (height, width).
    """
    hot = mosaic >= np.float32(threshold)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    scores = np.full(count, -np.inf, np.float32)
    np.maximum.at(scores, labels[hot].astype(np.intp), mosaic[hot])
    found = []
    for label in range(1, count):  # 0 is the background
        x, y, width, height, cells = (int(value) for value in stats[label])
        left, right = _span(x, width, stride / scale, frame_shape[1])
        top, bottom = _span(y, height, stride / scale, frame_shape[0])
        defect = Defect(
            score=float(scores[label]),
            bbox_px=(left, top, right - left, bottom - top),
            area_px=min((right - left) * (bottom - top), max(1, round(cells * (stride / scale) ** 2))),
            centroid_px=(
                _centre(float(centroids[label][0]), stride / scale, left, right),
                _centre(float(centroids[label][1]), stride / scale, top, bottom),
            ),
        )
        touched = (frozenset(np.flatnonzero(labels[row] == label).tolist()) for row in (0, -1))
        found.append(Region(defect=defect, top=next(touched), bottom=next(touched)))
    return tuple(sorted(found, key=lambda region: -region.defect.score))


def _stride(maps: Floats, tile: int) -> int:
    height, width = int(maps.shape[1]), int(maps.shape[2])
    if height != width or tile % height:
        raise ValueError(
            f"maps of {width} x {height} cells do not divide a tile of {tile} px; check the bundle"
        )
    return tile // height


def _span(first: int, count: int, cell_px: float, side: int) -> tuple[int, int]:
    """The pixels that cells touch, from and to before, at least one inside the frame."""
    begin = min(math.floor(first * cell_px), side - 1)
    return begin, max(begin + 1, min(math.ceil((first + count) * cell_px), side))


def _centre(cell: float, cell_px: float, begin: int, end: int) -> float:
    """The middle of a (fractional) cell in pixels, where a whole number is the middle of a pixel."""
    return min(max((cell + 0.5) * cell_px - 0.5, begin), end - 1)

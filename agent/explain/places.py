"""What evidence and features say at places of a frame, from its tiles. Boxes are in pixels of the frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.explain.document import Place, Profile
from agent.explain.form import CannotExplain, Explained, Good
from agent.explain.words import evidence_of, sentence
from agent.messages import Box, Floats, Pixels, Prepared

MOST_DEFECTS = 20  # of one frame, the strongest, that are explained
MOST_TILES = 4  # that one place is looked for in


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How a frame was judged: what a map is compared with, and how large its places are."""

    threshold: float
    stride_px: int  # of the scaled frame, from place to place


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    tile: int
    explained: Explained  # of this tile alone
    rows: slice
    columns: slice
    peak: tuple[int, int]

    @property
    def strength(self) -> float:
        return float(self.explained.maps[0][self.peak])


def places_of(
    boxes: Sequence[tuple[int | None, Box]],
    prepared: Prepared,
    good: Good,
    judged: Judged,
    explain: Callable[[Pixels], Explained],
) -> tuple[Place, ...]:
    """Each box by its evidence, with its index; every tile is explained once. Raises CannotExplain."""
    known: dict[int, Explained] = {}

    def of_tile(index: int) -> Explained:
        if index not in known:
            known[index] = explain(prepared.tiles[index : index + 1])
            if not np.isfinite(known[index].evidence).all():
                raise CannotExplain("the evidence is not a number in places; the graph fails on this frame")
        return known[index]

    return tuple(_place(index, box, prepared, good, judged, of_tile) for index, box in boxes)


def tiles_of(prepared: Prepared, box: Box) -> list[int]:
    """The tiles that have some of a box, that with most of it first; at least one."""
    tile_px = prepared.tiles.shape[1]
    left, top, right, bottom = _scaled(box, prepared.scale)
    shares = [
        _shared(left, right, x, x + tile_px) * _shared(top, bottom, y, y + tile_px)
        for x, y in prepared.origins
    ]
    order = sorted(range(len(shares)), key=lambda index: -shares[index])
    return [index for index in order if shares[index] > 0] or order[:1]


def box_of_peak(evidence: Floats, size: tuple[int, int]) -> Box:
    """The strongest place of a frame's map (h, w); `size` is the frame's width and height."""
    row, column = np.unravel_index(int(evidence.argmax()), evidence.shape)
    across, down = size[0] / evidence.shape[1], size[1] / evidence.shape[0]
    return int(column * across), int(row * down), max(1, math.ceil(across)), max(1, math.ceil(down))


def _place(
    index: int | None,
    box: Box,
    prepared: Prepared,
    good: Good,
    judged: Judged,
    of_tile: Callable[[int], Explained],
) -> Place:
    tried = [
        _peak(tile, of_tile(tile), prepared, box, judged) for tile in tiles_of(prepared, box)[:MOST_TILES]
    ]
    found = max(tried, key=lambda one: one.strength)
    evidence, row, column = found.explained.evidence[0], *found.peak
    region = evidence[:, found.rows, found.columns]
    hot = found.explained.maps[0][found.rows, found.columns] >= judged.threshold
    over = region[:, hot].mean(axis=1) if hot.any() else evidence[:, row, column]
    kinds = evidence_of(good, evidence[:, row, column].tolist(), over.tolist())
    step = judged.stride_px / prepared.scale
    x, y = (
        (origin + (cell + 0.5) * judged.stride_px) / prepared.scale
        for origin, cell in zip(prepared.origins[found.tile], (column, row), strict=True)
    )
    return Place(
        index=index,
        bbox_px=box,
        peak_px=(int(x), int(y)),
        sentence=sentence(kinds, good),
        kinds=kinds,
        across=_profile(found, prepared, good, judged, 0, step),
        down=_profile(found, prepared, good, judged, 1, step),
    )


def _peak(tile: int, explained: Explained, prepared: Prepared, box: Box, judged: Judged) -> _Found:
    side = explained.maps.shape[1]
    rows, columns = _inside(prepared, tile, box, judged.stride_px, side)
    part = explained.maps[0][rows, columns]
    row, column = np.unravel_index(int(part.argmax()), part.shape)
    peak = (rows.start + int(row), columns.start + int(column))
    return _Found(tile=tile, explained=explained, rows=rows, columns=columns, peak=peak)


def _profile(
    found: _Found, prepared: Prepared, good: Good, judged: Judged, axis: int, step_px: float
) -> Profile:
    """Along the row (axis 0) or the column (1) of the peak, as far as the frame goes."""
    origin = prepared.origins[found.tile][axis]
    side = prepared.shape[1 - axis]
    count = min(found.explained.maps.shape[1], -(-(side - origin) // judged.stride_px))
    row, column = found.peak
    line = (row, slice(count)) if axis == 0 else (slice(count), column)
    share = found.explained.maps[0][line] / judged.threshold * 100
    return Profile(
        start_px=round(origin / prepared.scale + step_px / 2, 2),
        step_px=round(step_px, 4),
        map=tuple(round(float(one), 1) for one in share),
        kinds={
            kind.name: tuple(round(float(one), 2) for one in of_kind[line])
            for kind, of_kind in zip(good.kinds, found.explained.evidence[0], strict=True)
            if kind.weight
        },
    )


def _inside(prepared: Prepared, tile: int, box: Box, cell_px: int, count: int) -> tuple[slice, slice]:
    """Rows and columns of a tile's cells that a box touches, at least one of each."""
    x, y = prepared.origins[tile]
    left, top, right, bottom = _scaled(box, prepared.scale)
    return _cells(top - y, bottom - y, cell_px, count), _cells(left - x, right - x, cell_px, count)


def _scaled(box: Box, scale: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in pixels of the scaled frame."""
    x, y, width, height = box
    return x * scale, y * scale, (x + width) * scale, (y + height) * scale


def _shared(begin: float, end: float, first: float, last: float) -> float:
    return max(0.0, min(end, last) - max(begin, first))


def _cells(begin: float, end: float, cell_px: int, count: int) -> slice:
    first = min(max(math.floor(begin / cell_px), 0), count - 1)
    return slice(first, max(first + 1, min(math.ceil(end / cell_px), count)))

"""Tiles to inspection: through the engine, results put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.clock import Clock
from agent.engines.engine import Engine
from agent.line import seams
from agent.line.ignore import leave_out
from agent.messages import Flags, Inspection, Pixels, Prepared


def infer(
    prepared: Prepared,
    engine: Engine,
    clock: Clock,
    *,
    restored: bool = True,
    without: tuple[Flags, int] | None = None,
) -> Inspection:
    """Every tile of a frame through the engine; `restored` False when nobody will look at the restoration.

    `without` are cells (h, w) of the map that count for nothing, and how many a score is made of
    (`agent/line/ignore.py`).
    """
    started = clock.monotonic_ns()
    answer = engine.run(prepared.tiles, restored=restored)
    scores, maps = answer.scores, answer.maps
    if without is not None:
        scores, maps = leave_out(scores, maps, prepared, *without)
    tile_px = prepared.tiles.shape[1]
    return Inspection(
        scores=scores,
        evidence=seams.mosaic(maps, prepared.origins, tile_px, prepared.shape),
        restored=None
        if answer.restored is None
        else lay_out(answer.restored, prepared.origins, prepared.shape),
        engine=answer.engine,
        precision=answer.precision,
        started_ns=started,
        finished_ns=clock.monotonic_ns(),
    )


def lay_out(tiles: Pixels, origins: Sequence[tuple[int, int]], shape: tuple[int, int]) -> Pixels:
    """Tiles (N, tile, tile, C) back in one picture of `shape`; where they overlap the later one shows."""
    if len(tiles) == 1:
        return tiles[0, : shape[0], : shape[1]]
    side = tiles.shape[1]
    canvas = np.zeros((max(shape[0], side), max(shape[1], side), tiles.shape[3]), np.uint8)
    for tile, (x, y) in zip(tiles, origins, strict=True):
        canvas[y : y + side, x : x + side] = tile
    return canvas[: shape[0], : shape[1]]

"""Tiles to inspection: batches that the engine was built for, results put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from agent.clock import Clock
from agent.engines.engine import BATCHES, Answer, Engine
from agent.messages import Inspection, Pixels, Prepared
from agent.web import seams


def infer(prepared: Prepared, engine: Engine, clock: Clock) -> Inspection:
    """Every tile of a frame through the engine, several at a time."""
    started = clock.monotonic_ns()
    answer = joined([engine.run(batch) for batch in in_batches(prepared.tiles, BATCHES)])
    tile_px = prepared.tiles.shape[1]
    return Inspection(
        scores=answer.scores,
        evidence=seams.mosaic(answer.maps, prepared.origins, tile_px, prepared.shape),
        restored=lay_out(answer.restored, prepared.origins, prepared.shape),
        started_ns=started,
        finished_ns=clock.monotonic_ns(),
    )


def in_batches(tiles: Pixels, sizes: tuple[int, ...]) -> Iterator[Pixels]:
    """Consecutive parts of the given sizes, largest that fits first; sizes fall and end with 1."""
    start = 0
    while start < len(tiles):
        size = next(size for size in sizes if size <= len(tiles) - start)
        yield tiles[start : start + size]
        start += size


def joined(answers: Sequence[Answer]) -> Answer:
    """Batches back in one answer, in order."""
    if len(answers) == 1:
        return answers[0]
    return Answer(
        scores=np.concatenate([answer.scores for answer in answers]),
        maps=np.concatenate([answer.maps for answer in answers]),
        restored=np.concatenate([answer.restored for answer in answers]),
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

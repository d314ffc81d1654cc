"""Tiles of a frame to the batches that engines are built for, and answers back to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from agent.engines.engine import BATCHES, Answer
from agent.messages import Pixels


def by_batches(run: Callable[[Pixels], Answer], tiles: Pixels) -> Answer:
    """One batch after the other: the plain loop that every engine without a ring uses."""
    return joined([run(batch) for batch in in_batches(tiles, BATCHES)])


def in_batches(tiles: Pixels, sizes: tuple[int, ...]) -> Iterator[Pixels]:
    """Consecutive parts of the given sizes, largest that fits first; sizes fall and end with 1."""
    start = 0
    while start < len(tiles):
        size = next(size for size in sizes if size <= len(tiles) - start)
        yield tiles[start : start + size]
        start += size


def joined(answers: Sequence[Answer]) -> Answer:
    """Batches of one engine back in one answer, in order."""
    if len(answers) == 1:
        return answers[0]
    restored = [answer.restored for answer in answers if answer.restored is not None]
    return Answer(
        scores=np.concatenate([answer.scores for answer in answers]),
        maps=np.concatenate([answer.maps for answer in answers]),
        restored=np.concatenate(restored) if restored else None,
        engine=answers[0].engine,
    )

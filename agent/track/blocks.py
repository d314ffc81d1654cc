"""Which lines of a block are there, and a block's lines under another coordinate."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from agent.errors import PlumblineError
from agent.messages import Flags, Frame, Samples


class TrackError(PlumblineError):
    """The camera does not give what the web's settings build on."""


def validity(block: Frame, repeated: int, missing: int) -> Flags:
    """(lines,), False for lines filled in by the camera and for losses that nothing else shows.

    `missing` lines before the block are shown by the coordinate; of the rest of `lines_lost`, those that
    `valid` does not show are charged to the first lines after the `repeated` ones.
    """
    valid = np.ones(len(block.image), np.bool_) if block.valid is None else block.valid.copy()
    shown = missing + int(np.count_nonzero(~valid))
    valid[repeated : repeated + max(0, block.lines_lost - shown)] = False
    return valid


def placed(block: Frame, image: Samples, first_line: int, valid: Flags, ticks_per_line: float) -> Frame:
    """Lines that stand for (some of) `block`'s, at `first_line`; what is lost is in `valid` alone.

    The encoder is carried to the new first line by `ticks_per_line`, counts per line; with 0 it is known
    only where the first line did not move.
    """
    encoder = block.encoder
    if encoder is not None and first_line != block.first_line:
        moved = first_line - block.first_line
        encoder = encoder + round(moved * ticks_per_line) if ticks_per_line else None
    return replace(
        block,
        image=image,
        first_line=first_line,
        encoder=encoder,
        valid=None if valid.all() else valid,
        lines_lost=0,
    )


def runs(flags: Flags, start: int) -> list[tuple[int, int]]:
    """The stretches of equal flags from `start` to the end."""
    if start >= len(flags):
        return []
    turns = start + 1 + np.flatnonzero(flags[start + 1 :] != flags[start:-1])
    return list(pairwise([start, *turns.tolist(), len(flags)]))

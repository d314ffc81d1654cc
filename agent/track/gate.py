"""Where a part is: by the brightness of a band of columns, or by an input line of the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agent.messages import Flags, Floats, Frame
from agent.track.blocks import TrackError


class Gate:
    """The image gate: a part begins where the band reaches `on` and ends where it falls below `off`.

    Both are shares of full scale (0 to 1). Between them the line before decides, so that noise does not
    chop a part.
    """

    def __init__(self, *, from_px: int, to_px: int, on: float, off: float) -> None:
        self._columns = slice(from_px, to_px)
        self._on = on
        self._off = off
        self._is_inside = False

    def push(self, block: Frame) -> list[tuple[Frame, Flags]]:
        if self._columns.stop > block.image.shape[1]:
            raise TrackError(
                f"camera {block.camera}: web.parts.gate_to_px is {self._columns.stop}, its lines have"
                f" {block.image.shape[1]} px; set it within them"
            )
        full = (1 << block.bit_depth) - 1
        band = block.image[:, self._columns]
        levels = (band.mean(axis=(1, 2)) / full).astype(np.float32)
        inside = latched(levels, on=self._on, off=self._off, before=self._is_inside)
        if len(inside):
            self._is_inside = bool(inside[-1])
        return [(block, inside)]

    def flush(self) -> list[tuple[Frame, Flags]]:
        self._is_inside = False
        return []


def latched(levels: Floats, *, on: float, off: float, before: bool) -> Flags:
    """(lines,): True from a level of at least `on` until one below `off`."""
    decided = (levels >= on) | (levels < off)
    last = np.maximum.accumulate(np.where(decided, np.arange(len(levels)), -1))
    inside: Flags = np.where(last < 0, before, levels[last] >= on)
    return inside


def latched_plain(levels: Floats, *, on: float, off: float, before: bool) -> Flags:
    """What `latched` computes, a line at a time."""
    inside = []
    for level in levels:
        before = bool(level >= on or (before and level >= off))
        inside.append(before)
    return np.array(inside, np.bool_)


class StatusLine:
    """An input line of the camera (a light barrier), told by LineStatusAll at a block's first line.

    The edge lies anywhere in the block before, so a part has that block whole at its beginning and its end:
    parts are up to a block longer than the signal at either side, and come one block late.
    """

    def __init__(self, bit: int) -> None:
        self._bit = bit
        self._waiting: Frame | None = None

    def push(self, block: Frame) -> list[tuple[Frame, Flags]]:
        if block.line_status is None:
            raise TrackError(
                f"camera {block.camera}: block {block.frame_id} brings no line status, which web.parts.kind"
                " line_status needs; enable the camera's LineStatusAll chunk, or take kind gate"
            )
        before, self._waiting = self._waiting, replace(block, image=block.image.copy())
        if before is None:
            return []
        return [_whole(before, self._is_high(before) or self._is_high(block))]

    def flush(self) -> list[tuple[Frame, Flags]]:
        before, self._waiting = self._waiting, None
        return [] if before is None else [_whole(before, self._is_high(before))]

    def _is_high(self, block: Frame) -> bool:
        return bool((block.line_status or 0) >> self._bit & 1)


def _whole(block: Frame, inside: bool) -> tuple[Frame, Flags]:
    return block, np.full(len(block.image), inside, np.bool_)

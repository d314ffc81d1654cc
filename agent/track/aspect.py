"""Lines resampled to square pixels.

A line that is `stretch` pixels high becomes `stretch` lines on average: the middle of output line j lies
at input line (j + 0.5) / stretch - 0.5, and is drawn from the two lines around it. Where it lies depends on j
alone, so it does not matter where blocks are cut. Shrinking by more than two skips lines: better set the
encoder's divider.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from agent.messages import Flags, Frame, Samples
from agent.track.blocks import placed
from agent.track.carry import Carry

MAX_GAP_LINES = 64  # filled in here; longer ones are left to the windows


class Aspect:
    """One camera's lines at another pitch; at most a line is late."""

    def __init__(self, stretch: float, ticks_per_line: float) -> None:
        self._stretch = stretch
        self._ticks_per_line = ticks_per_line  # of an input line
        self._carry = Carry(MAX_GAP_LINES)
        self._next = 0  # the output line to be drawn next

    @property
    def lines_dropped(self) -> int:
        """Lines that came again."""
        return self._carry.lines_dropped

    def push(self, block: Frame) -> list[Frame]:
        """The output lines that this block completes, in output coordinates."""
        if self._carry.follows(block):
            self._carry.extend(block)
        else:
            self._carry.begin(block)
            self._next = _first_at(block.first_line, self._stretch)
        carry = self._carry
        assert carry.image is not None
        until = _first_at(carry.end_line - 1, self._stretch)  # its lower line would not be there yet
        lines = np.arange(self._next, until)
        if not len(lines):
            return []
        positions = source_of(lines, self._stretch) - carry.first_line
        image, valid = resampled(carry.image, carry.valid, positions)
        first, self._next = self._next, until
        moved = float(source_of(lines[:1], self._stretch)[0]) - block.first_line
        carry.drop_before(math.floor(source_of(np.array([until]), self._stretch)[0]))
        there = replace(block, first_line=first, encoder=self._encoder_at(block, moved))
        return [placed(there, image, first, valid, 0)]

    def flush(self) -> list[Frame]:
        """Nothing: less than a line is held back."""
        self._carry.clear()
        return []

    def _encoder_at(self, block: Frame, moved: float) -> int | None:
        if block.encoder is None or not self._ticks_per_line:
            return None
        return block.encoder + round(moved * self._ticks_per_line)


def source_of(lines: np.ndarray, stretch: float) -> np.ndarray:
    """Where the middles of output lines lie among the middles of input lines."""
    return (lines + 0.5) / stretch - 0.5


def resampled(image: Samples, valid: Flags, positions: np.ndarray) -> tuple[Samples, Flags]:
    """Lines between the two around each position, valid when all that they are drawn from are."""
    upper = np.floor(positions).astype(np.intp)
    shares = positions - upper
    lower = np.minimum(upper + 1, len(image) - 1)
    out = np.empty((len(positions), *image.shape[1:]), image.dtype)
    rows, drawn = image.reshape(len(image), -1), out.reshape(len(out), -1)
    for row, (one, other, share) in enumerate(zip(upper, lower, shares.tolist(), strict=True)):
        cv2.addWeighted(rows[one], 1 - share, rows[other], share, 0, dst=drawn[row])
    return out, valid[upper] & (valid[lower] | (shares == 0))


def resampled_plain(image: Samples, positions: np.ndarray) -> Samples:
    """The picture of `resampled` in floating point."""
    upper = np.floor(positions).astype(np.intp)
    share = (positions - upper)[:, np.newaxis, np.newaxis]
    lower = np.minimum(upper + 1, len(image) - 1)
    between = image[upper].astype(np.float64) * (1 - share) + image[lower].astype(np.float64) * share
    plain: Samples = np.rint(between).astype(image.dtype)
    return plain


def _first_at(line: int, stretch: float) -> int:
    """The first output line whose middle is not before the middle of an input line."""
    return math.ceil((line + 0.5) * stretch - 0.5)

"""Lines that a stage still needs when the next block comes."""

from __future__ import annotations

import numpy as np

from agent.messages import Flags, Frame, Samples
from agent.track.blocks import validity


class Carry:
    """Consecutive lines, oldest first; short gaps are filled with the last line and marked invalid."""

    def __init__(self, max_gap_lines: int) -> None:
        self._max_gap_lines = max_gap_lines
        self.first_line = 0
        self.lines_dropped = 0  # because they were held already
        self.image: Samples | None = None  # (lines, width, channels)
        self.valid: Flags = np.zeros(0, np.bool_)

    @property
    def end_line(self) -> int:
        return self.first_line + len(self.valid)

    def follows(self, block: Frame) -> bool:
        """Whether `block` brings lines after those held, near enough to go on."""
        if self.image is None:
            return False
        gap = block.first_line - self.end_line
        return -len(block.image) < gap <= self._max_gap_lines

    def begin(self, block: Frame) -> None:
        """Hold nothing but `block`; losses before it are nobody's lines."""
        self.first_line = block.first_line
        self.image = block.image.copy()
        self.valid = validity(block, 0, block.lines_lost)

    def extend(self, block: Frame) -> None:
        """Add the new lines of a block that follows; those that are held already are dropped."""
        assert self.image is not None
        gap = block.first_line - self.end_line
        repeated, missing = max(0, -gap), max(0, gap)
        valid = validity(block, repeated, missing)[repeated:]
        self.lines_dropped += repeated
        self.pad_end(missing)
        self.image = np.concatenate([self.image, block.image[repeated:]])
        self.valid = np.concatenate([self.valid, valid])

    def pad_start(self, lines: int) -> None:
        """Put invalid copies of the first line before it."""
        assert self.image is not None
        self.image = np.concatenate([np.repeat(self.image[:1], lines, axis=0), self.image])
        self.valid = np.concatenate([np.zeros(lines, np.bool_), self.valid])
        self.first_line -= lines

    def pad_end(self, lines: int) -> None:
        """Put invalid copies of the last line after it."""
        assert self.image is not None
        self.image = np.concatenate([self.image, np.repeat(self.image[-1:], lines, axis=0)])
        self.valid = np.concatenate([self.valid, np.zeros(lines, np.bool_)])

    def drop_before(self, line: int) -> None:
        """Forget lines that no later output needs; at least one stays."""
        assert self.image is not None
        count = min(max(0, line - self.first_line), len(self.valid) - 1)
        self.image, self.valid = self.image[count:].copy(), self.valid[count:].copy()
        self.first_line += count

    def clear(self) -> None:
        self.image = None
        self.valid = np.zeros(0, np.bool_)

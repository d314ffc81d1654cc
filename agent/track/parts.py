"""Lines become parts: from where something begins to pass until it has passed.

`inside` says of every line whether it belongs to a part. A part that is longer than `max_lines`, that had
begun before the web was seen or had not ended when it was last seen, comes in pieces, `is_partial`. A
line that was lost within a part keeps its place, filled and invalid. Lines between parts are nobody's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from agent.messages import Flags, Frame, FrameFault, Item, Samples
from agent.track.blocks import placed, runs, validity


class Inside(Protocol):
    """Which lines belong to a part."""

    def push(self, block: Frame) -> list[tuple[Frame, Flags]]:
        """Blocks that can be told of now, each with (lines,) flags."""

    def flush(self) -> list[tuple[Frame, Flags]]:
        """Blocks that waited for another; the next one begins anew."""


class Parts:
    """The parts of one camera's web."""

    def __init__(self, inside: Inside, *, max_lines: int, ticks_per_line: float) -> None:
        self._inside = inside
        self._max_lines = max_lines
        self._ticks_per_line = ticks_per_line
        self.lines_repeated = 0
        self.lines_unseen = 0  # lost between parts, or in a gap that ends one
        self._count = 0  # parts and pieces that were given
        self._begun: Frame | None = None  # the open part's first lines; its image is not used
        self._cut_off = True  # whether the open part, or one that begins now, has begun unseen
        self._images: list[Samples] = []
        self._valid: list[Flags] = []
        self._lines = 0
        self._end_line: int | None = None  # after the newest line
        self._newest_id = 0

    def push(self, item: Item) -> list[Item]:
        """The parts that end in this block; a fault takes the number of the part that is open."""
        if isinstance(item, FrameFault):
            return [replace(item, frame_id=self._count, first_line=self._end_line or 0, lines_lost=0)]
        return [part for block, flags in self._inside.push(item) for part in self._take(block, flags)]

    def flush(self) -> list[Item]:
        """What is still open, as a piece; the web then starts anew."""
        items = [part for block, flags in self._inside.flush() for part in self._take(block, flags)]
        items += self._close(is_partial=True)
        self._end_line, self._cut_off = None, True
        return items

    def _take(self, block: Frame, flags: Flags) -> list[Item]:
        items: list[Item] = []
        end = self._end_line
        is_behind = end is not None and block.first_line + len(block.image) <= end
        if is_behind and block.frame_id > self._newest_id:  # the coordinate started again
            items = self._close(is_partial=True)
            end, self._cut_off = None, True
        self._newest_id = block.frame_id
        gap = block.lines_lost if end is None else block.first_line - end
        seen = min(max(0, -gap), len(block.image))
        self.lines_repeated += seen
        valid = validity(block, seen, max(0, gap))
        if gap > 0:
            items += self._lose(gap)
        for start, stop in runs(flags, seen):
            if flags[start]:
                items += self._write(block, start, stop, valid)
            else:
                items += self._close(is_partial=False)
                self._cut_off = False
        self._end_line = max(end or 0, block.first_line + len(block.image))
        return items

    def _lose(self, gap: int) -> list[Item]:
        """Fill a gap within the open part, or end it when it cannot hold the gap."""
        if self._begun is None:
            self._cut_off = True  # a part may have begun in it
            self.lines_unseen += gap
            return []
        if self._lines + gap > self._max_lines:
            self.lines_unseen += gap
            return self._close(is_partial=True, goes_on=True)
        self._images.append(np.repeat(self._images[-1][-1:], gap, axis=0))
        self._valid.append(np.zeros(gap, np.bool_))
        self._lines += gap
        return []

    def _write(self, block: Frame, start: int, stop: int, valid: Flags) -> list[Item]:
        items: list[Item] = []
        while start < stop:
            if self._lines == self._max_lines:
                items += self._close(is_partial=True, goes_on=True)
            until = min(stop, start + self._max_lines - self._lines)
            if self._begun is None:
                first = block.first_line + start
                self._begun = placed(block, block.image[:0], first, valid[:0], self._ticks_per_line)
            self._images.append(block.image[start:until].copy())
            self._valid.append(valid[start:until])
            self._lines += until - start
            self._begun = replace(self._begun, captured_ns=block.captured_ns, captured_at=block.captured_at)
            start = until
        return items

    def _close(self, *, is_partial: bool, goes_on: bool = False) -> list[Item]:
        """The open part, if there is one; `goes_on` when the next lines are of the same part."""
        if self._begun is None:
            return []
        valid = np.concatenate(self._valid)
        lost = len(valid) - int(np.count_nonzero(valid))
        part = replace(
            self._begun,
            frame_id=self._count,
            image=np.concatenate(self._images),
            lines_lost=lost,
            valid=valid if lost else None,
            is_partial=is_partial or self._cut_off,
            goes_on=goes_on,
        )
        self._count += 1
        self._begun, self._images, self._valid, self._lines = None, [], [], 0
        self._cut_off = goes_on
        return [part]


class EachBlock:
    """Every block is a part, cut by the camera's FrameStart trigger; shorter ones are `is_partial`."""

    def __init__(self, part_lines: int) -> None:
        self.lines_repeated = 0  # a trigger's lines never come again
        self.lines_unseen = 0  # each is a part's
        self._part_lines = part_lines

    def push(self, item: Item) -> list[Item]:
        """The block; one without lines is a trigger on which no line came."""
        if isinstance(item, FrameFault):
            return [item]
        return [replace(item, is_partial=len(item.image) < self._part_lines)]

    def flush(self) -> list[Item]:
        return []

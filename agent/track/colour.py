"""Three colour rows of one sensor see another line of the web each: they are brought together.

Green stays. The red row saw line y when green was `shift` lines before it, the blue row `shift` lines
after it: out(y) = R(y + shift), G(y), B(y - shift), between two lines by linear interpolation. shift =
row spacing in pixels x (object pixel / line pitch), and changes its sign with the direction of the belt.

The first and the last ceil(|shift|) lines of a web, and as many around a gap, are not seen in all three
colours: they are marked invalid. Mono lines pass as they are.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from agent.messages import Flags, Frame, Samples
from agent.track.blocks import placed
from agent.track.carry import Carry


class ColourShift:
    """One camera's colour rows; holds the lines that later ones need, so it is ceil(|shift|) lines late."""

    def __init__(self, shift_lines: float, ticks_per_line: float) -> None:
        self._shift = shift_lines
        self._reach = math.ceil(abs(shift_lines))
        self._ticks_per_line = ticks_per_line
        self._carry = Carry(max_gap_lines=4 * self._reach)
        self._newest: Frame | None = None

    @property
    def lines_dropped(self) -> int:
        """Lines that came again."""
        return self._carry.lines_dropped

    def push(self, block: Frame) -> list[Frame]:
        """The lines that this block completes."""
        if block.image.shape[2] != 3:
            return [block]
        done: list[Frame] = []
        if self._carry.follows(block):
            self._carry.extend(block)
        else:
            done = self.flush()
            self._carry.begin(block)
            self._carry.pad_start(self._reach)
        self._newest = block
        return done + self._complete()

    def flush(self) -> list[Frame]:
        """The lines that wait for others, which will not come."""
        if self._carry.image is None:
            return []
        self._carry.pad_end(self._reach)
        done = self._complete()
        self._carry.clear()
        return done

    def _complete(self) -> list[Frame]:
        carry, reach = self._carry, self._reach
        count = len(carry.valid) - 2 * reach
        if count <= 0 or carry.image is None or self._newest is None:
            return []
        first = carry.first_line + reach
        image = shifted(carry.image, self._shift)
        valid = _seen(carry.valid, self._shift)
        carry.drop_before(first + count - reach)
        return [placed(self._newest, image, first, valid, self._ticks_per_line)]


def shifted(lines: Samples, shift: float) -> Samples:
    """(n, width, 3) to (n - 2 * ceil(|shift|), width, 3): red from `shift` lines on, blue from before."""
    reach = math.ceil(abs(shift))
    count = len(lines) - 2 * reach
    out = np.empty((count, *lines.shape[1:]), lines.dtype)
    out[:, :, 1] = lines[reach : reach + count, :, 1]
    for channel, moved in ((0, shift), (2, -shift)):
        start, share = _split(reach + moved)
        plane = cv2.extractChannel(lines[start : start + count + (share > 0)], channel)
        if share:
            plane = cv2.addWeighted(plane[:-1], 1 - share, plane[1:], share, 0)
        out[:, :, channel] = plane
    return out


def shifted_plain(lines: Samples, shift: float) -> Samples:
    """What `shifted` computes, a line at a time in floating point."""
    reach = math.ceil(abs(shift))
    out = []
    for y in range(reach, len(lines) - reach):
        line = lines[y].astype(np.float64)
        for channel, moved in ((0, shift), (2, -shift)):
            start, share = _split(y + moved)
            after = lines[min(start + 1, len(lines) - 1), :, channel]
            line[:, channel] = lines[start, :, channel] * (1 - share) + after * share
        out.append(np.rint(line))
    return np.asarray(out, lines.dtype)


def _seen(valid: Flags, shift: float) -> Flags:
    """(n - 2 * reach,): whether all the lines that a result is made of are valid."""
    reach = math.ceil(abs(shift))
    count = len(valid) - 2 * reach
    seen: Flags = valid[reach : reach + count].copy()
    for moved in (shift, -shift):
        start, share = _split(reach + moved)
        seen &= valid[start : start + count]
        if share:
            seen &= valid[start + 1 : start + 1 + count]
    return seen


def _split(position: float) -> tuple[int, float]:
    whole = math.floor(position)
    return whole, position - whole

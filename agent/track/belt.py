"""The line coordinate by the encoder: what the belt moved decides where lines lie, not how many came.

The encoder is read once for a block, at its first line, so a block is placed when the next one tells how far
the belt moved meanwhile. `ticks_per_line` is negative where the encoder counts down as the web goes forward.

Lines triggered by the encoder (`Triggered`):
- The belt moved by more lines than came: the camera dropped triggers (over-triggering) or blocks were lost.
  Where inside the block is not known; the lines that lack are missing at its end and the next block lies
  right again, so nothing is ever shifted for longer than a block.
- The belt moved by fewer lines than came: it stood or turned. Which of these lines are new cannot be known,
  so none is used; what does not pass again is lost.
- Lines behind the furthest one that was given are seen a second time: they are dropped. The web resumes
  where it had been.

Lines triggered by a clock (`Clocked`): the lines of a block are spread evenly over the way that the belt
moved and drawn anew, one for every `ticks_per_line` counts. A belt that stands or runs back gives no line.
A turn within a block is not seen, only its sum.

The camera's own line counter is not used: many cameras count blocks, and a block that ends early then
looks like a loss. Counters of 32 bits may wrap. A count that falls by more than RESET_BLOCKS blocks at
once was reset; the belt is taken to have gone on. Not covered: reading the encoder for every line.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import structlog

from agent.messages import Frame
from agent.track.aspect import resampled
from agent.track.blocks import TrackError, placed, validity

log = structlog.get_logger()

RESET_BLOCKS = 16  # no belt runs back so far within a block


class _Reading:
    """The newest block and where the belt was at its first line, since the web began."""

    def __init__(self, ticks_per_line: float) -> None:
        self.ticks_per_line = ticks_per_line
        self.held: Frame | None = None
        self.place = 0.0  # of the held block's first line on the web, in lines
        self.end_line = 0  # after the furthest line that was given
        self._ticks = 0
        self._origin = 0

    def read(self, block: Frame) -> tuple[Frame, float] | None:
        """The block before and by how many lines the belt moved since it; None for the first one."""
        if block.encoder is None:
            raise TrackError(
                f"camera {block.camera}: block {block.frame_id} brings no encoder count, which "
                "web.encoder.ticks_per_line needs; enable the camera's encoder chunk, or set it to 0"
            )
        before = self.held
        if before is None or before.encoder is None:
            self._origin = self.end_line = block.first_line
            self._ticks = 0
            moved = 0.0
        else:
            ticks = _unwrapped(block.encoder - before.encoder)
            if ticks / self.ticks_per_line < -RESET_BLOCKS * len(before.image):
                log.warning("encoder_reset", camera=block.camera, before=before.encoder, now=block.encoder)
                ticks = round(len(before.image) * self.ticks_per_line)
            moved = ticks / self.ticks_per_line
            self._ticks += ticks
        self._hold(block)
        return None if before is None else (before, moved)

    def _hold(self, block: Frame) -> None:
        self.held = replace(block, image=block.image.copy())  # the camera may write over it
        self.place = self._origin + self._ticks / self.ticks_per_line


class Triggered:
    """Blocks whose lines the encoder triggered, placed by it; one block late."""

    def __init__(self, ticks_per_line: float) -> None:
        self._reading = _Reading(ticks_per_line)
        self.lines_dropped = 0  # seen again, or while the belt stood or turned

    def push(self, block: Frame) -> list[Frame]:
        """The block before, where the belt says that it lies; TrackError without an encoder."""
        place = self._reading.place
        known = self._reading.read(block)
        if known is None:
            return []
        before, moved = known
        if moved < len(before.image) - 1:  # one line of slack, because a count is a whole number
            self._drop(before, len(before.image))
            return []
        return self._give(before, place)

    def flush(self) -> list[Frame]:
        """The newest block, as if the belt had gone on."""
        before, place = self._reading.held, self._reading.place
        self._reading.held = None
        return [] if before is None else self._give(before, place)

    def _give(self, block: Frame, place: float) -> list[Frame]:
        end = self._reading.end_line
        # Less than a line off is the encoder's whole counts, not a gap.
        first = end if abs(place - end) < 1 else round(place)
        seen = min(max(0, end - first), len(block.image))
        if seen:
            self._drop(block, seen)
        if seen == len(block.image):
            return []
        self._reading.end_line = first + len(block.image)
        valid = validity(block, seen, max(0, first - end))[seen:]
        there = replace(block, first_line=first)
        return [placed(there, block.image[seen:], first + seen, valid, self._reading.ticks_per_line)]

    def _drop(self, block: Frame, lines: int) -> None:
        self.lines_dropped += lines
        log.debug("lines_dropped", camera=block.camera, frame=block.frame_id, lines=lines)


class Clocked:
    """Blocks whose lines a clock triggered, drawn anew at even distances on the web; one block late."""

    def __init__(self, ticks_per_line: float) -> None:
        self._reading = _Reading(ticks_per_line)
        self._speed = 0.0  # lines of the web for a line of the camera, over the newest block
        self.lines_dropped = 0  # while the belt stood or ran back

    def push(self, block: Frame) -> list[Frame]:
        """The lines that the belt moved since the block before; TrackError without an encoder."""
        place = self._reading.place
        known = self._reading.read(block)
        if known is None:
            return []
        before, moved = known
        came = len(before.image) + block.lines_lost
        self._speed = moved / came
        return self._give(before, place, moved, None if block.lines_lost else block)

    def flush(self) -> list[Frame]:
        """The newest block, at the speed of the one before it."""
        before, place = self._reading.held, self._reading.place
        self._reading.held = None
        if before is None:
            return []
        return self._give(before, place, self._speed * len(before.image), None)

    def _give(self, block: Frame, place: float, moved: float, after: Frame | None) -> list[Frame]:
        first = max(math.ceil(place), self._reading.end_line)
        until = math.ceil(place + moved)
        if until <= first:
            self.lines_dropped += len(block.image)
            log.debug("lines_dropped", camera=block.camera, frame=block.frame_id, lines=len(block.image))
            return []
        self._reading.end_line = until
        came = len(block.image) if self._speed == 0 else moved / self._speed
        positions = (np.arange(first, until) - place) / moved * came
        image, valid = block.image, validity(block, 0, 0)
        if after is not None:
            image = np.concatenate([image, after.image[:1]])
            valid = np.concatenate([valid, [True]])
        there = positions <= len(image) - 1
        drawn, seen = resampled(image, valid, np.minimum(positions, len(image) - 1))
        first_place = replace(block, first_line=round(place))
        return [placed(first_place, drawn, first, seen & there, self._reading.ticks_per_line)]


def _unwrapped(ticks: int) -> int:
    """The shorter way round a counter of 32 bits; wider ones never move that far within a block."""
    return (ticks + (1 << 31)) % (1 << 32) - (1 << 31)

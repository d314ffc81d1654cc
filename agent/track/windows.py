"""Blocks of lines become windows at fixed places of an endless web.

Window k holds the lines k*window_lines to (k+1)*window_lines, wherever blocks are cut. A line that was
lost keeps its place: it shows the last line before it and is marked invalid, nothing is ever shifted.
Every line from the first window to the last is in exactly one of them, valid or invalid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import structlog

from agent.messages import Flags, Frame, FrameFault, Item, Samples
from agent.track.blocks import runs, validity

log = structlog.get_logger()


MISSING_FAULTS = 16  # of a longer run of missing windows, the rest share one fault


@dataclass(slots=True)
class _Window:
    """The window that is being filled; it has an image once it has a valid line."""

    index: int
    encoder: int | None
    valid: Flags
    image: Samples | None = None


class Web:
    """The windows of one camera; `window_lines` 0 passes everything through, for area cameras.

    - Blocks have one width and channel count; the capture loop sees to that.
    - The first copy of a line stays: lines that come again are dropped, they may be judged already.
    - A later trigger that lies wholly behind, or any block further back than a window, means that the
      coordinate started again: the open window is closed and counting goes on from there.
    - A web that begins after `flush` and does not lie behind the one before goes on with it: lines that
      passed while the camera was away are lost, those of a window that was closed meanwhile dropped.
    - `lines_lost` that the coordinate does not show are charged to the first lines of their block.
    - Of a long run of windows without a line, the first `MISSING_FAULTS` get a fault each and the rest
      share one, whose `lines_lost` covers them all.
    - A fault of the camera takes the place of the window that is being filled; the lines that it did
      not bring are counted where they are missing.
    """

    def __init__(self, window_lines: int) -> None:
        self.window_lines = window_lines
        self.lines_lost = 0
        self.lines_repeated = 0
        self.lines_unseen = 0  # every line is in a window
        self.restarts = 0
        self._window: _Window | None = None
        self._next_line = 0
        self._last_line: Samples | None = None  # (1, width, channels), the last valid one
        self._block: Frame | None = None  # the newest
        self._joins = False  # what comes still lies in a window that was closed when a connection was lost
        self._seen_to: int | None = None  # the end of the web before this one
        self._ticks_per_line: float | None = None

    def push(self, item: Item) -> list[Item]:
        """The windows that this block completes, and faults for those without a line."""
        if self.window_lines == 0:
            return [item]
        if isinstance(item, FrameFault):
            index = self._next_line // self.window_lines
            return [replace(item, frame_id=index, first_line=index * self.window_lines, lines_lost=0)]
        if not len(item.image):
            return []  # what it lacks shows as a gap before the next block
        if self._block is None and self._seen_to is not None and item.first_line >= self._seen_to:
            self._block = item  # a gap like any other, though a connection was lost in it
            self._joins = True
        items: list[Item] = []
        if self._block is not None and item.first_line + len(item.image) <= self._next_line:
            joins = self._joins and item.first_line >= self._block.first_line
            if joins or self._is_copy(item, self._block):
                self.lines_repeated += len(item.image)
                self._block = item if joins else self._block
                return []
            items = self._restart(item)
        return items + self._take(item)

    def flush(self) -> list[Item]:
        """The window that is still open, its missing lines invalid."""
        items: list[Item] = []
        if self._window is not None and self._block is not None:
            items = self._lose((self._window.index + 1) * self.window_lines, self._block)
        if self._block is not None:
            self._seen_to = self._block.first_line + len(self._block.image)
        self._block = self._last_line = self._ticks_per_line = None
        return items

    def _is_copy(self, block: Frame, newest: Frame) -> bool:
        """Whether a block that lies behind was delivered before, rather than seen anew."""
        return block.frame_id <= newest.frame_id and self._next_line - block.first_line <= self.window_lines

    def _restart(self, block: Frame) -> list[Item]:
        self.restarts += 1
        log.warning(
            "web_restarted", camera=block.camera, expected=self._next_line, first_line=block.first_line
        )
        return self.flush()

    def _take(self, block: Frame) -> list[Item]:
        self._joins = False
        if self._block is None:
            self._next_line = block.first_line - block.first_line % self.window_lines
            missing = block.lines_lost  # all before the web began
        else:
            self._learn_ticks(block, self._block)
            missing = block.first_line - self._next_line
        repeated = max(0, -missing)
        self.lines_repeated += repeated
        valid = validity(block, repeated, max(0, missing))
        items = self._lose(block.first_line, block)
        for start, stop in runs(valid, repeated):
            if valid[start]:
                items += self._write(block.image[start:stop], block)
            else:
                items += self._lose(block.first_line + stop, block)
        self._block = block
        return items

    def _learn_ticks(self, block: Frame, before: Frame) -> None:
        if before.encoder is not None and block.encoder is not None and block.first_line > before.first_line:
            self._ticks_per_line = (block.encoder - before.encoder) / (block.first_line - before.first_line)

    def _encoder_at(self, line: int, block: Frame) -> int | None:
        """By the distance between the last two blocks; None where there was only one yet."""
        if block.encoder is None or line == block.first_line:
            return block.encoder
        if self._ticks_per_line is None:
            return None
        return block.encoder + round((line - block.first_line) * self._ticks_per_line)

    def _write(self, lines: Samples, block: Frame) -> list[Item]:
        """Copy valid lines to the next places."""
        items: list[Item] = []
        while len(lines):
            window = self._open_window(block)
            start = self._next_line % self.window_lines
            part = lines[: self.window_lines - start]
            if window.image is None:
                window.image = np.empty((self.window_lines, *part.shape[1:]), part.dtype)
                window.image[:start] = part[:1] if self._last_line is None else self._last_line
            window.image[start : start + len(part)] = part
            window.valid[start : start + len(part)] = True
            self._last_line = part[-1:].copy()  # the camera may write its next block over this one
            items += self._advance(len(part), block)
            lines = lines[len(part) :]
        return items

    def _lose(self, until: int, block: Frame) -> list[Item]:
        """Mark the lines from the next one to before `until` as lost, without a loop over a long gap."""
        items: list[Item] = []
        if until > self._next_line:
            self.lines_lost += until - self._next_line
            log.debug(
                "lines_lost", camera=block.camera, first_line=self._next_line, lines=until - self._next_line
            )
        whole = until // self.window_lines  # windows before this one end within the gap
        bound = -(-self._next_line // self.window_lines) + MISSING_FAULTS
        while self._next_line < until:
            if self._next_line == bound * self.window_lines and whole > bound:
                items.append(self._missing(bound, whole, block))
                self._next_line = whole * self.window_lines
                continue
            window = self._open_window(block)
            start = self._next_line % self.window_lines
            stop = min(self.window_lines, start + until - self._next_line)
            if window.image is not None and self._last_line is not None:
                window.image[start:stop] = self._last_line
            items += self._advance(stop - start, block)
        return items

    def _open_window(self, block: Frame) -> _Window:
        if self._window is None:
            index = self._next_line // self.window_lines
            encoder = self._encoder_at(index * self.window_lines, block)
            self._window = _Window(index, encoder, np.zeros(self.window_lines, np.bool_))
        return self._window

    def _advance(self, lines: int, block: Frame) -> list[Item]:
        """Move on within the open window; gives it when that completes it."""
        self._next_line += lines
        if self._window is None or self._next_line % self.window_lines:
            return []
        window, self._window = self._window, None
        if window.image is None:
            return [self._missing(window.index, window.index + 1, block)]
        lost = self.window_lines - int(np.count_nonzero(window.valid))
        return [
            Frame(
                camera=block.camera,
                frame_id=window.index,
                image=window.image,
                captured_ns=block.captured_ns,
                captured_at=block.captured_at,
                first_line=window.index * self.window_lines,
                encoder=window.encoder,
                device_ns=block.device_ns,
                epoch=block.epoch,
                lines_lost=lost,
                valid=window.valid if lost else None,
                bit_depth=block.bit_depth,
            )
        ]

    def _missing(self, index: int, end: int, block: Frame) -> FrameFault:
        """One fault for the windows from `index` to before `end`."""
        first_line, end_line = index * self.window_lines, end * self.window_lines
        return FrameFault(
            camera=block.camera,
            frame_id=index,
            reason="lost_lines",
            detail=(
                f"camera {block.camera}: no line arrived of {end - index} windows, lines {first_line} to"
                f" {end_line - 1}; check cable, network buffers and processor load"
            ),
            captured_ns=block.captured_ns,
            captured_at=block.captured_at,
            first_line=first_line,
            encoder=self._encoder_at(first_line, block),
            epoch=block.epoch,
            lines_lost=end_line - first_line,
        )

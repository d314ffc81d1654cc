"""The belt under the sensor: where it is, what line counter and encoder say, and what goes wrong on cue."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

TICKS_PER_LINE = 4


@dataclass(slots=True)
class Cues:
    """Accidents, set from outside at any time. Numbers count down, switches stay."""

    blocks: int | None = None  # so many more, then the belt stands; None: it never does
    drop_blocks: int = 0  # the next ones, as if their packets had never been
    damage_blocks: int = 0  # of the next ones one packet is lost for good
    drop_packets: float = 0.0  # share of packets that need a resend
    skip_lines: int = 0  # that the sensor misses before the next block; counter and encoder go on
    over_trigger_blocks: int = 0  # of the next ones every second encoder pulse finds the sensor busy
    short_lines: int = 0  # the next block is closed early with so many
    reverse: bool = False  # the belt runs backwards: lines are counted, the encoder falls
    mute: bool = False  # the cable is out: nothing is answered and nothing arrives
    answers: int | None = None  # so many more commands, then it pauses, or is mute where `pause_s` is 0
    pause_s: float = 0.0  # what was asked meanwhile is answered afterwards
    next_block_id: int | None = None
    next_line: int | None = None  # position, counter and encoder begin anew as if at this line


@dataclass(slots=True)
class Counts:
    """What happened, for accounting to the line."""

    lines: int = 0  # that passed the sensor while acquiring, skipped ones included
    blocks: int = 0
    blocks_dropped: int = 0
    packets: int = 0
    packets_dropped: int = 0
    packets_resent: int = 0
    resend_requests: int = 0
    resends_refused: int = 0
    heartbeats_lost: int = 0
    commands: int = 0  # that were answered
    denied: int = 0  # register writes of somebody who has no control
    user_outputs: dict[str, list[int]] = field(default_factory=dict)  # levels that each was given
    line_sources: dict[str, int] = field(default_factory=dict)  # of each line that was made an output


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The lines of one block before they are packed."""

    positions: npt.NDArray[np.int64]  # (lines,) of the web
    counter: int  # line counter at row 0
    encoder: int  # at row 0


@dataclass(slots=True)
class Belt:
    """Moves on with each block; cues are taken as they come due.

    Whoever makes a block holds `held` from its exposure until it is sent: cues and counts come in between.
    """

    cues: Cues = field(default_factory=Cues)
    counts: Counts = field(default_factory=Counts)
    held: threading.Lock = field(default_factory=threading.Lock)
    position: int = 0
    counter: int = 0
    encoder: int = 0

    def cue(self, cues: Mapping[str, Any]) -> Counts:
        """Set them all before the next block; the counts of those before, a copy."""
        with self.held:
            for name, value in cues.items():
                setattr(self.cues, name, value)
            return replace(self.counts)

    def expose(self, height: int) -> Exposure | None:
        """The next block, None while the belt stands."""
        cues = self.cues
        if cues.blocks == 0:
            return None
        if cues.blocks is not None:
            cues.blocks -= 1
        if cues.next_line is not None:
            self.position = self.counter = cues.next_line
            self.encoder, cues.next_line = cues.next_line * TICKS_PER_LINE, None
        self._move(cues.skip_lines, 1)
        cues.skip_lines = 0
        lines, cues.short_lines = cues.short_lines or height, 0
        pace = 2 if cues.over_trigger_blocks else 1
        cues.over_trigger_blocks = max(0, cues.over_trigger_blocks - 1)
        step = -pace if cues.reverse else pace
        exposure = Exposure(
            positions=self.position + step * np.arange(lines), counter=self.counter, encoder=self.encoder
        )
        self._move(lines, step)
        self.counts.blocks += 1
        return exposure

    def _move(self, lines: int, step: int) -> None:
        self.position += step * lines
        self.encoder += step * TICKS_PER_LINE * lines
        self.counter += lines
        self.counts.lines += lines

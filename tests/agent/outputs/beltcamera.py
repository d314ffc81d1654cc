"""A camera over a belt in software, in real time: each block of lines is one part, and bright ones fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from agent.cameras.camera import Camera
from agent.clock import Clock
from agent.messages import Frame, Samples
from agent.settings.camera import Source

TICKS_PER_LINE = 4


@dataclass(slots=True)
class Line:
    """`period_s` from block to block; the encoder is read at its first line, it is there after its last."""

    blocks: int
    period_s: float
    bad: Collection[int]  # blocks
    lines: int = 32
    picture: Callable[[int, bool], Samples] = lambda number, bad: np.full(
        (32, 32, 1), 200 if bad else 20, np.uint8
    )
    began_ns: int = 0
    given: int = 0

    @property
    def ticks_per_s(self) -> float:
        return self.lines * TICKS_PER_LINE / self.period_s

    def make(self, name: str, source: Source, clock: Clock) -> Callable[[], Camera]:
        return lambda: BeltCamera(self, name, clock)

    def at_gate_ns(self, block: int, distance_ticks: int) -> int:
        """When the first line of a block is so far on; for a belt that never stands."""
        first_line_s = block * self.period_s
        return self.began_ns + round((first_line_s + distance_ticks / self.ticks_per_s) * 1e9)


@dataclass(slots=True)
class BeltCamera:
    line: Line
    name: str
    clock: Clock

    def open(self) -> None:
        self.line.began_ns = self.clock.monotonic_ns()

    def grab(self, timeout_s: float) -> Frame | None:
        line = self.line
        if line.given >= line.blocks:
            time.sleep(timeout_s)
            return None
        number = line.given
        end_ns = line.began_ns + round((number + 1) * line.period_s * 1e9)
        until_s = time.monotonic() + timeout_s
        while (rest_s := (end_ns - self.clock.monotonic_ns()) / 1e9) > 0:
            if time.monotonic() >= until_s:
                return None
            time.sleep(min(rest_s, timeout_s))
        line.given += 1
        return Frame(
            camera=self.name,
            frame_id=number,
            image=line.picture(number, number in line.bad),
            captured_ns=end_ns,
            captured_at=self.clock.utc_now(),
            first_line=number * line.lines,
            encoder=number * line.lines * TICKS_PER_LINE,
        )

    def close(self) -> None:
        """Nothing is held."""

"""What is known of a roll when it ends: where it failed, where nobody looked, and its defects.

A roll begins with a camera's first window and ends after `lines` lines, when the coordinate starts again,
or with the agent. A window belongs to the roll in which it begins. Three threads meet here: the line asks
for the roll's id, the outbox tells of records after their commit, and the watch takes rolls that have
ended.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from agent.clock import Clock
from agent.contract.verdict import Verdict
from agent.messages import Box, Scale, VerdictName
from agent.settings.camera import Camera

MAX_DEFECTS = 10_000  # kept for one roll; more are only counted


@dataclass(frozen=True, slots=True, kw_only=True)
class RollDefect:
    """Where a defect lies on the web, and the record that names it."""

    box: Box  # x, absolute line, width, lines
    area_px: int
    score: float
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring windows with one verdict."""

    first_line: int
    lines: int
    verdict: VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """A roll, or what there is of one yet."""

    camera: str
    roll_id: str
    scale: Scale | None
    began: datetime
    ended: datetime
    width_px: int = 0  # 0 until a window with a picture came
    windows: Mapping[VerdictName, int] = field(
        default_factory=lambda: {"pass": 0, "fail": 0, "undecided": 0, "skipped": 0}
    )
    lines_lost: int = 0
    stretches: tuple[Stretch, ...] = ()
    defects: tuple[RollDefect, ...] = ()
    defects_counted: int = 0

    @property
    def first_line(self) -> int:
        return self.stretches[0].first_line if self.stretches else 0

    @property
    def lines(self) -> int:
        return max((one.first_line + one.lines for one in self.stretches), default=0) - self.first_line


class Rolls:
    """The open roll of each camera that has roll maps."""

    def __init__(self, lines: Mapping[str, int], scales: Mapping[str, Scale], clock: Clock) -> None:
        self._lines = lines  # of a roll, for each camera; 0: no end
        self._scales = scales
        self._clock = clock
        self._named: dict[str, tuple[str, int, int]] = {}  # id, its first line, the newest window's
        self._open: dict[str, _Open] = {}
        self._ended: list[Roll] = []
        self._last: dict[str, Roll] = {}  # that ended, by camera
        self._lock = threading.Lock()

    def roll_id(self, camera: str, first_line: int) -> str | None:
        """Of the roll that a window at `first_line` belongs to; None for a camera without roll maps."""
        if camera not in self._lines:
            return None
        with self._lock:
            named, begin, newest = self._named.get(camera, ("", first_line, first_line))
            lines = self._lines[camera]
            if not named or first_line < newest or (lines and first_line >= begin + lines):
                # A roll that is cut by length begins where the one before was to end, a restarted one anew.
                whole = (first_line - begin) // lines * lines if lines and named and first_line > begin else 0
                begin = begin + whole if whole else first_line
                moment = self._clock.utc_now().astimezone(timezone.utc)
                named = f"{moment:%Y%m%dT%H%M%S.%fZ}-{camera}"
            self._named[camera] = (named, begin, first_line)
            return named

    def take(self, verdict: Verdict, width_px: int) -> None:
        """A committed record, in the order of its camera; `width_px` 0 where it has no picture."""
        if verdict.roll_id is None:
            return
        with self._lock:
            roll = self._open.get(verdict.camera)
            now = self._clock.utc_now()
            if roll is None or roll.roll_id != verdict.roll_id:
                if roll is not None:
                    self._last[verdict.camera] = roll.ended(now)
                    self._ended.append(self._last[verdict.camera])
                scale = self._scales.get(verdict.camera)
                roll = _Open(verdict.camera, verdict.roll_id, scale, began=now)
                self._open[verdict.camera] = roll
            roll.add(verdict, width_px)

    def latest(self) -> list[Roll]:
        """Of each camera the open one as it is now, and the last that ended."""
        now = self._clock.utc_now()
        with self._lock:
            return [*(roll.ended(now) for roll in self._open.values()), *self._last.values()]

    def ended(self) -> list[Roll]:
        """Rolls that have ended since the last call."""
        with self._lock:
            ended, self._ended = self._ended, []
        return ended

    def close(self) -> list[Roll]:
        """As `ended`, with the rolls that are still open: nothing follows."""
        now = self._clock.utc_now()
        with self._lock:
            self._ended += [roll.ended(now) for roll in self._open.values()]
            self._open.clear()
        return self.ended()


@dataclass(slots=True)
class _Open:
    """A roll that grows."""

    camera: str
    roll_id: str
    scale: Scale | None
    began: datetime
    width_px: int = 0
    lines_lost: int = 0
    windows: dict[VerdictName, int] = field(
        default_factory=lambda: {"pass": 0, "fail": 0, "undecided": 0, "skipped": 0}
    )
    stretches: list[Stretch] = field(default_factory=list)
    defects: list[RollDefect] = field(default_factory=list)
    defects_counted: int = 0

    def add(self, verdict: Verdict, width_px: int) -> None:
        frame = verdict.frame
        self.width_px = max(self.width_px, width_px)
        self.windows[verdict.verdict] += 1
        self.lines_lost += frame.lines_lost
        # A trigger without a picture covers the lines that it did not bring.
        self._stretch(frame.first_line, frame.lines or frame.lines_lost, verdict.verdict)
        self.defects_counted += len(verdict.defects)
        for one in verdict.defects[: MAX_DEFECTS - len(self.defects)]:
            x, y, width, height = one.bbox_px
            box = one.bbox_web or (x, frame.first_line + y, width, height)
            self.defects.append(
                RollDefect(box=box, area_px=one.area_px, score=one.score, sequence=verdict.sequence)
            )

    def _stretch(self, first_line: int, lines: int, verdict: VerdictName) -> None:
        last = self.stretches[-1] if self.stretches else None
        if last and last.verdict == verdict and last.first_line + last.lines == first_line:
            self.stretches[-1] = replace(last, lines=last.lines + lines)
        elif lines:
            self.stretches.append(Stretch(first_line=first_line, lines=lines, verdict=verdict))

    def ended(self, now: datetime) -> Roll:
        return Roll(
            camera=self.camera,
            roll_id=self.roll_id,
            scale=self.scale,
            began=self.began,
            ended=now,
            width_px=self.width_px,
            windows=dict(self.windows),
            lines_lost=self.lines_lost,
            stretches=tuple(self.stretches),
            defects=tuple(self.defects),
            defects_counted=self.defects_counted,
        )


def make_rolls(cameras: Sequence[Camera], scales: Mapping[str, Scale], clock: Clock) -> Rolls:
    """Of the cameras that have roll maps."""
    lines = {camera.name: camera.web.roll.lines for camera in cameras if camera.web.roll.folder is not None}
    return Rolls(lines, scales, clock)

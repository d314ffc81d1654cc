"""The way of one camera's lines: flat field, belt, colour rows, aspect, then windows or parts.

Each step is a small object with `push` and `flush`; the settings say which of them there are. A camera that
was reconnected (a new `epoch`) begins a web of its own: what is open is closed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from agent.messages import Frame, FrameFault, Item, Scale
from agent.settings import camera as camera_settings
from agent.settings import web as web_settings
from agent.track.aspect import Aspect
from agent.track.belt import Clocked, Triggered
from agent.track.calibration import load
from agent.track.colour import ColourShift
from agent.track.flatfield import FlatField
from agent.track.gate import Gate, StatusLine
from agent.track.parts import EachBlock, Parts
from agent.track.windows import Web


class Stage(Protocol):
    """Lines in, lines out, some of them later."""

    @property
    def lines_dropped(self) -> int: ...

    def push(self, block: Frame) -> list[Frame]: ...

    def flush(self) -> list[Frame]: ...


class Cutter(Protocol):
    """Lines in, what is judged out."""

    @property
    def lines_repeated(self) -> int: ...

    @property
    def lines_unseen(self) -> int: ...

    def push(self, item: Item) -> list[Item]: ...

    def flush(self) -> list[Item]: ...


class Track:
    """One camera's steps; used by one thread."""

    def __init__(
        self, cutter: Cutter, *, flat_field: FlatField | None, stages: Sequence[Stage], joins_blocks: bool
    ) -> None:
        self.joins_blocks = joins_blocks  # the camera's blocks are pieces and may differ in height
        self._cutter = cutter
        self._flat_field = flat_field
        self._stages = stages
        self._epoch: int | None = None

    @property
    def lines_dropped(self) -> int:
        """Lines that were seen again, or while the belt stood or turned; from any thread."""
        return sum(stage.lines_dropped for stage in self._stages) + self._cutter.lines_repeated

    @property
    def lines_unseen(self) -> int:
        """Lines that were lost where no part, and so no record, tells of them; from any thread."""
        return self._cutter.lines_unseen

    def push(self, item: Item) -> list[Item]:
        """What is to be judged now; raises FlatFieldError and TrackError for a camera unlike the settings."""
        if isinstance(item, FrameFault):
            return self._cutter.push(item)
        items: list[Item] = []
        if self._epoch is not None and item.epoch != self._epoch:
            items = self.flush()
        self._epoch = item.epoch
        if self._flat_field is not None:
            item = replace(item, image=self._flat_field.correct(item.image, item.bit_depth))
        frames = [item]
        for stage in self._stages:
            frames = [out for frame in frames for out in stage.push(frame)]
        return items + self._cut(frames)

    def flush(self) -> list[Item]:
        """What is still open, as at the end of a web."""
        frames: list[Frame] = []
        for stage in self._stages:
            frames = [out for frame in frames for out in stage.push(frame)] + stage.flush()
        return self._cut(frames) + self._cutter.flush()

    def _cut(self, frames: list[Frame]) -> list[Item]:
        return [item for frame in frames for item in self._cutter.push(frame)]


def make_track(camera: camera_settings.Camera) -> Track:
    """The steps that a camera's settings ask for; raises FlatFieldError for a calibration of no use."""
    web = camera.web
    ticks = web.encoder.ticks_per_line
    stages: list[Stage] = []
    if ticks:
        stages.append(Triggered(ticks) if web.encoder.line_trigger == "encoder" else Clocked(ticks))
    if web.colour_shift_lines:
        # The shift is given for a web that goes forward as the encoder counts up.
        stages.append(ColourShift(web.colour_shift_lines * (-1 if ticks < 0 else 1), ticks))
    if web.square_pixels and web.mm_per_px and web.mm_per_line:
        stretch = web.mm_per_line / web.mm_per_px
        stages.append(Aspect(stretch, ticks))
        ticks /= stretch
    return Track(
        _cutter(web, ticks),
        flat_field=load(camera.name, camera.flat_field),
        stages=stages,
        joins_blocks=web.is_web,
    )


def _cutter(web: web_settings.Web, ticks_per_line: float) -> Cutter:
    parts = web.parts
    if parts.kind == "pitch":
        return Web(web.window_lines)
    if parts.kind == "trigger":
        return EachBlock(web.window_lines)
    inside = (
        StatusLine(parts.line_status_bit)
        if parts.kind == "line_status"
        else Gate(from_px=parts.gate_from_px, to_px=parts.gate_to_px, on=parts.gate_on, off=parts.gate_off)
    )
    return Parts(inside, max_lines=parts.max_lines, ticks_per_line=ticks_per_line)


def scale_of(wanted: camera_settings.Camera) -> Scale | None:
    """Of the frames that are judged: square pixels have the pitch of pixels in both directions."""
    web = wanted.web
    if web.mm_per_px is None or web.mm_per_line is None:
        return None
    return Scale(mm_per_px=web.mm_per_px, mm_per_line=web.mm_per_px if web.square_pixels else web.mm_per_line)

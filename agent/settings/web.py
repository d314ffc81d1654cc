"""Settings of the web: how blocks of lines are corrected and become what is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from agent.settings.section import CAMERA, FRAME
from agent.settings.section import Section as _Section


class Encoder(_Section):
    """What the encoder says of the belt."""

    ticks_per_line: float = Field(0.0, ge=-1e6, le=1e6)
    line_trigger: Literal["encoder", "clock"] = "encoder"


class Parts(_Section):
    """Where a part begins and ends."""

    kind: Literal["pitch", "trigger", "line_status", "gate"] = "pitch"
    line_status_bit: int = Field(0, ge=0, le=31)
    gate_from_px: int = Field(0, ge=0, le=65_535)
    gate_to_px: int = Field(1, ge=1, le=65_536)
    gate_on: float = Field(0.3, gt=0, le=1)
    gate_off: float = Field(0.2, ge=0, lt=1)
    max_lines: int = Field(8192, ge=1, le=65_536)

    @model_validator(mode="after")
    def _gate_has_room(self) -> Parts:
        if self.gate_to_px <= self.gate_from_px:
            raise ValueError(f"gate_to_px {self.gate_to_px} must be above gate_from_px {self.gate_from_px}")
        if self.gate_off > self.gate_on:
            raise ValueError(f"gate_off {self.gate_off} must not be above gate_on {self.gate_on}")
        return self


class Roll(_Section):
    """What is told at the end of a roll."""

    lines: int = Field(0, ge=0, le=1_000_000_000)
    folder: Path | None = None


class Web(_Section):
    """How the blocks of a line camera become the windows or parts that are judged."""

    window_lines: int = Field(0, ge=0, le=65_536, json_schema_extra=CAMERA)
    max_invalid_ratio: float = Field(0.02, ge=0, le=1, json_schema_extra=FRAME)
    max_windows_per_defect: int = Field(1, ge=1, le=16, json_schema_extra=FRAME)
    parts: Parts = Field(Parts(), json_schema_extra=CAMERA)
    encoder: Encoder = Field(Encoder(), json_schema_extra=CAMERA)
    colour_shift_lines: float = Field(0.0, ge=-64, le=64, json_schema_extra=CAMERA)
    mm_per_px: float | None = Field(None, gt=0, le=1000)
    mm_per_line: float | None = Field(None, gt=0, le=1000)
    square_pixels: bool = False
    roll: Roll = Roll()

    @model_validator(mode="after")
    def _belongs_together(self) -> Web:
        kind = self.parts.kind
        if (self.mm_per_px is None) != (self.mm_per_line is None):
            raise ValueError("mm_per_px and mm_per_line belong together; set both or neither")
        if self.square_pixels:
            if self.mm_per_px is None or self.mm_per_line is None:
                raise ValueError("square_pixels needs mm_per_px and mm_per_line; run calibrate scale")
            if not 0.25 <= self.mm_per_line / self.mm_per_px <= 4:
                raise ValueError(
                    "square_pixels stretches lines by 0.25 to 4; bring the encoder's divider nearer"
                )
        if kind in ("line_status", "gate") and self.window_lines:
            raise ValueError(f"parts of kind {kind} find their own length; set window_lines to 0")
        if self.roll.folder is not None and not self.is_web:
            raise ValueError("roll.folder is for the web of a line camera; set window_lines or parts")
        if self.max_windows_per_defect > 1 and not (kind == "pitch" and self.window_lines):
            raise ValueError("max_windows_per_defect joins windows of an endless web; set window_lines")
        return self

    @property
    def is_web(self) -> bool:
        """Whether the camera's blocks are pieces of something longer, and may differ in height."""
        return self.window_lines > 0 or self.parts.kind != "pitch"


class FlatField(_Section):
    """Column correction by a calibration file: out = (raw - dark) * gain."""

    file: Path | None = None
    max_gain: float = Field(8.0, ge=1, le=16)

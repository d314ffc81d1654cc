"""Settings of a camera: where its frames come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.section import Identifier
from agent.section import Section as _Section
from agent.web_settings import FlatField, Web


class FolderSource(_Section):
    """Images of a folder in name order, one frame each."""

    kind: Literal["folder"] = "folder"
    path: Path
    rate_hz: float = Field(0.0, ge=0, le=10_000)
    repeat: bool = False


class VideoSource(_Section):
    """A video file, an RTSP address or a V4L2 device, through OpenCV."""

    kind: Literal["video"] = "video"
    url: str = Field(min_length=1)
    rate_hz: float = Field(0.0, ge=0, le=10_000)
    repeat: bool = False
    open_timeout_s: float = Field(5.0, gt=0, le=120)
    read_timeout_s: float = Field(2.0, gt=0, le=120)


class LinescanSimSource(_Section):
    """A folder of images, or one long strip, scrolled past a virtual line sensor."""

    kind: Literal["linescan-sim"] = "linescan-sim"
    path: Path
    line_rate_hz: float = Field(3000.0, gt=0, le=1_000_000)
    height: int = Field(128, ge=1, le=65_536)
    repeat: bool = True
    encoder_ticks_per_line: int = Field(4, ge=1, le=1000)
    jitter: float = Field(0.0, ge=0, le=0.5)
    stop_every_blocks: int = Field(0, ge=0)
    stop_s: float = Field(0.0, ge=0, le=3600)
    lose_every_blocks: int = Field(0, ge=0)
    lose_lines: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)


LINE_CAMERAS = frozenset({"linescan-sim"})  # kinds of source that give blocks of lines

Source = Annotated[FolderSource | VideoSource | LinescanSimSource, Field(discriminator="kind")]


class Camera(_Section):
    name: Identifier = "top"
    source: Source = FolderSource(path=Path("frames"))
    web: Web = Web()
    flat_field: FlatField = FlatField()

    @model_validator(mode="after")
    def _only_lines_make_a_web(self) -> Camera:
        if self.web.is_web and self.source.kind not in LINE_CAMERAS:
            raise ValueError("web.window_lines and web.parts are for line cameras; leave them out here")
        return self

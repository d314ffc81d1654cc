"""Settings of a camera: where its frames come from."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from agent.settings.section import CAMERA, Identifier
from agent.settings.section import Section as _Section
from agent.settings.web import FlatField, Web

MAX_MEGAPIXELS = 200.0  # 24,000 lines of 8,192 pixels; 0.6 GB in colour

FeatureValue: TypeAlias = bool | int | float | str


class FeatureWrite(_Section):
    """One feature of a camera, by its own name; without a value it is a command that is executed."""

    name: str = Field(min_length=1, max_length=200)
    value: FeatureValue | None = None
    optional: bool = False


class FolderSource(_Section):
    """Images of a folder in name order, one frame each."""

    kind: Literal["folder"] = "folder"
    path: Path
    rate_hz: float = Field(0.0, ge=0, le=10_000)
    repeat: bool = False
    watch: bool = False
    max_megapixels: float = Field(MAX_MEGAPIXELS, ge=0.01, le=1000)

    @model_validator(mode="after")
    def _watches_or_repeats(self) -> FolderSource:
        if self.watch and self.repeat:
            raise ValueError("watch and repeat exclude each other: a watched folder has no end; drop one")
        return self


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
    max_megapixels: float = Field(MAX_MEGAPIXELS, ge=0.01, le=1000)


class GenicamSource(_Section):
    """A GigE Vision or USB3 Vision camera, through Aravis."""

    kind: Literal["genicam"] = "genicam"
    address: str
    scan: Literal["area", "line"] = "area"
    features: tuple[FeatureWrite, ...] = ()
    packet_size: int | None = Field(None, ge=220, le=65_000)
    ring_frames: int = Field(32, ge=4, le=4096)
    line_counter_chunk: str | None = Field(None, min_length=1)
    encoder_chunk: str | None = Field(None, min_length=1)
    line_status_chunk: str | None = Field(None, min_length=1)

    @field_validator("address")
    @classmethod
    def _names_one_camera(cls, address: str) -> str:
        if re.fullmatch(r"[0-9.]+", address):
            try:
                ipaddress.IPv4Address(address)
            except ValueError as error:
                raise ValueError(f"is no IPv4 address ({error})") from error
        elif not re.fullmatch(r"\S.*-.*\S", address):
            raise ValueError(
                "is neither an IPv4 address nor Vendor-Model-Serial; see `plumbline camera list`"
            )
        return address


class HarvestersSource(_Section):
    """A camera behind a vendor's GenTL producer, in a process of its own."""

    kind: Literal["harvesters"] = "harvesters"
    producer: Path
    device: str = ""
    scan: Literal["area", "line"] = "area"
    features: tuple[FeatureWrite, ...] = Field((), max_length=256)
    buffers: int = Field(8, ge=3, le=256)
    open_timeout_s: float = Field(20.0, gt=0, le=120)


Source = Annotated[
    FolderSource | VideoSource | LinescanSimSource | GenicamSource | HarvestersSource,
    Field(discriminator="kind"),
]


class Camera(_Section):
    name: Identifier = "top"
    source: Source = Field(FolderSource(path=Path("frames")), json_schema_extra=CAMERA)
    web: Web = Web()
    flat_field: FlatField = Field(FlatField(), json_schema_extra=CAMERA)
    silence_timeout_s: float | None = Field(None, ge=0, le=86_400, json_schema_extra=CAMERA)
    part_required: bool = False
    part_rule: Identifier | None = None
    offset_ticks: int = Field(0, ge=-2_000_000_000, le=2_000_000_000)

    @model_validator(mode="after")
    def _only_lines_make_a_web(self) -> Camera:
        has_lines = isinstance(self.source, LinescanSimSource) or (
            isinstance(self.source, GenicamSource | HarvestersSource) and self.source.scan == "line"
        )
        if self.web.is_web and not has_lines:
            raise ValueError("web.window_lines and web.parts are for line cameras; leave them out here")
        return self

"""The nouns that cross a thread, a file or the network.

Inside the agent they are frozen dataclasses around numpy arrays; what leaves it
(`Verdict`) is a pydantic model, whose JSON Schema is the contract with the MES.
Boxes are x, y, width, height in pixels of the original frame or web.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Pixels: TypeAlias = npt.NDArray[np.uint8]
Samples: TypeAlias = npt.NDArray[np.uint8 | np.uint16]  # as a camera gives them, until `prepare`
Floats: TypeAlias = npt.NDArray[np.float32]
Flags: TypeAlias = npt.NDArray[np.bool_]
Box: TypeAlias = tuple[int, int, int, int]
VerdictName: TypeAlias = Literal["pass", "fail", "undecided", "skipped"]

# OPC UA 40001-101 ResultEvaluationEnum: a verdict that is not a decision is never OK.
EVALUATION: dict[VerdictName, tuple[str, int]] = {
    "pass": ("OK", 1),
    "fail": ("NotOK", 2),
    "undecided": ("NotDecidable", 3),
    "skipped": ("Undefined", 0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What one trigger saw: a picture, where on the web it lies, and when.

    A line-scan source yields blocks of lines as frames; the web turns them into
    the windows that are judged, which are frames again.
    """

    camera: str
    frame_id: int  # unwrapped, grows by one per trigger
    image: Samples  # (lines, width, channels); 1 channel is mono, 3 are RGB
    captured_ns: int  # host monotonic clock, when the last line was there
    captured_at: datetime  # host UTC
    first_line: int = 0  # absolute line of row 0; 0 for area cameras
    encoder: int | None = None  # encoder count at row 0
    device_ns: int | None = None  # the camera's own clock
    epoch: int = 0  # grows with every reconnect of the camera, whose counters may then start anew
    line_status: int | None = None  # ChunkLineStatusAll: the input lines as bits, at row 0
    lines_lost: int = 0  # lines missing directly before or inside this frame
    valid: Flags | None = None  # (lines,), False where a line was filled in; None: all valid
    bit_depth: int = 8  # significant bits of a pixel; above 8 the image is uint16
    is_partial: bool = False  # a part of which the camera or the web saw only a piece
    part_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFault:
    """A trigger that gave no judgeable picture; it still gets its one record."""

    camera: str
    frame_id: int
    reason: str  # the record's machine-readable reason, such as camera_error or overload
    detail: str  # for people: place, value, remedy
    captured_ns: int
    captured_at: datetime
    first_line: int = 0
    encoder: int | None = None
    lines_lost: int = 0
    part_id: str | None = None
    thumbnail: Pixels | None = field(default=None, compare=False)  # of a picture that could not be kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The tiles of one frame, ready for an engine."""

    tiles: Pixels  # (N, tile, tile, channels)
    origins: tuple[tuple[int, int], ...]  # x, y of each tile in the scaled frame
    shape: tuple[int, int]  # lines, width of the scaled frame
    scale: float  # scaled-frame pixels per frame pixel
    prepared_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the engine says of one frame, tiles put together again."""

    scores: Floats  # (N,), raw, one for each tile
    evidence: Floats  # (h, w), raw map of the whole scaled frame, one value for each map stride
    # (lines, width, channels) of the scaled frame: what a good part would look like; None when not asked for
    restored: Pixels | None
    started_ns: int
    finished_ns: int
    precision: str = "f32"  # in which the engine computed
    engine: str = ""  # that judged it; a frame is never judged by two


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One connected defect in frame pixels.

    Of a defect that spans windows, area and centroid are those of the whole, which may lie outside this
    frame; `bbox_px` is what lies in this frame, `bbox_web` the whole: x, absolute line, width, lines.
    """

    score: float
    bbox_px: Box
    area_px: int
    centroid_px: tuple[float, float]
    bbox_web: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The decision on one frame and its grounds."""

    verdict: VerdictName
    reason: str | None
    score: float
    threshold: float
    defects: tuple[Defect, ...]
    peak_px: tuple[int, int] | None = None  # x, y of the strongest evidence, when the frame was judged
    continued_from_line: int | None = None  # first line of the window whose record names what goes on here


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large a pixel of a judged frame is on the product."""

    mm_per_px: float  # across
    mm_per_line: float  # down


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


REASONS = {
    "overload": "skipped: newer triggers came before the line was free",
    "camera_error": "skipped or undecided: the camera gave no picture, a damaged one, or one of a wrong form",
    "lost_lines": "undecided, or skipped where nothing was left: more lines lost than the settings allow",
    "engine_error": "undecided: no engine could judge the frame",
    "stopped": "skipped: the agent was told to stop before this trigger could be judged",
    "not_finite": "undecided: the engine's score is not a number",
}


class CropRef(_Message):
    """A picture of a defect that travels on its own."""

    crop_id: str = Field(description="of the crop's message; unique for ever")
    sha256: str = Field(description="of the picture's bytes, in hexadecimal")
    bytes: int = Field(ge=1, description="size of the picture")


class DefectMessage(_Message):
    """One defect; boxes are x, y, width, height, and a frame's first line is y = 0."""

    index: int = Field(ge=0, description="from 0 inside this verdict; crops name it as `defect_index`")
    label: str | None = Field(None, description="class of the defect; null where the model names none")
    score: float = Field(description="of the defect's strongest spot, on the scale of `score.raw`")
    bbox_px: tuple[int, int, int, int] = Field(
        description="x, y, width, height in pixels of the original frame"
    )
    bbox_web: tuple[int, int, int, int] | None = Field(
        None, description="of a defect that spans windows: x, absolute line, width and lines of the whole"
    )
    area_px: int = Field(ge=1, description="pixels of the whole defect")
    centroid_mm: tuple[float, float] | None = Field(
        None, description="from the left edge of the picture, and from line 0 of the web; when calibrated"
    )
    area_mm2: float | None = Field(None, description="square millimetres of the defect; when calibrated")
    crop: CropRef | None = Field(None, description="its picture, sent on crop/{camera}; null where none is")


class ScoreMessage(_Message):
    """How far from good: the frame's worst tile."""

    raw: float = Field(description="higher is worse")
    threshold: float = Field(description="at or above it the frame fails")
    normalized: float = Field(description="100 is the threshold")


class FrameMessage(_Message):
    """What the camera gave for this trigger."""

    id: int = Field(description="number of the trigger, by camera; grows by one")
    first_line: int = Field(description="absolute line of the frame's first row; 0 for area cameras")
    lines: int = Field(ge=0, description="rows of the frame; 0 when there was no picture")
    lines_lost: int = Field(ge=0, description="missing directly before or inside this frame")
    encoder: int | None = Field(description="count at the first row; null without an encoder")
    sha256: str | None = Field(description="of the judged pixels; null when there were none")


class TimingMessage(_Message):
    """How long it took, in milliseconds; null for a stage that was not reached."""

    capture_to_prepared: float | None = Field(None, description="from the last line to the tiles")
    queued: float | None = Field(None, description="of which waiting in the ring")
    infer: float | None = Field(None, description="the engine")
    judge: float | None = Field(None, description="from its answer to the verdict")
    capture_to_recorded: float = Field(description="until the record was handed to the outbox")


class ModelMessage(_Message):
    """What judged."""

    bundle: str = Field(description="name of the model bundle")
    sha256: str = Field(description="of the bundle's manifest")
    engine: str = Field(description="that judged this frame, with its precision; empty where none did")
    provisional_rate: float | None = Field(
        None,
        description="false-reject rate of a threshold from few good parts; null where it keeps its target",
    )


class SettingsMessage(_Message):
    """By which settings."""

    version: int = Field(description="`revision` of the settings file")
    sha256: str = Field(description="of the settings in force")


class Verdict(_Message):
    """`plumbline.verdict/1`: exactly one per trigger, in a gap-free sequence."""

    schema_: Literal["plumbline.verdict/1"] = Field(
        "plumbline.verdict/1", alias="schema", description="name and major version of this message"
    )
    result_id: str = Field(description="UUID, unique for ever and the same in a replay: de-duplicate on it")
    sequence: int = Field(ge=1, description="without a gap by station; a missing number is a missing verdict")
    boot_id: str = Field(description="UUID of this run of the agent")
    station: str = Field(description="as in the topic")
    camera: str = Field(description="as in the topic")
    created: str = Field(description="when the record was made: UTC, RFC 3339, by the station's clock")
    clock_synced: bool | None = Field(description="whether that clock was synchronised; null: not known")
    verdict: VerdictName = Field(description="only pass is good; undecided and skipped are no decision")
    result_evaluation: Literal["OK", "NotOK", "NotDecidable", "Undefined"] = Field(
        description="`verdict` in the words of OPC 40001-101 ResultEvaluationEnum"
    )
    result_evaluation_code: int = Field(
        ge=0, le=3, description="and as its number: 1 pass, 2 fail, 3 undecided, 0 skipped"
    )
    reason: str | None = Field(description="why there is no decision; null with pass and fail")
    detail: str | None = Field(None, max_length=500, description="the same for people; words may change")
    is_partial: bool = Field(False, description="only a piece of the part was seen")
    is_simulated: bool = Field(False, description="no real camera or no real part: never book it")
    replayed: bool = Field(False, description="sent again because cmd/replay asked for it")
    part_id: str | None = Field(None, description="serial number or code of the part; null: not known")
    job_id: str | None = Field(None, description="order that the part belongs to; null: not known")
    recipe_id: str = Field("default", description="recipe by which it was judged")
    roll_id: str | None = Field(None, description="of the roll on the web; null without rolls")
    score: ScoreMessage | None = Field(description="null when nothing was judged")
    defects: tuple[DefectMessage, ...] = Field((), description="of a fail; see `continued_from_line`")
    continued_from_line: int | None = Field(
        None,
        description="a defect at this window's top is named in the record of the window with this first line",
    )
    frame: FrameMessage = Field(description="what the camera gave for this trigger")
    timing_ms: TimingMessage = Field(description="how long it took, in milliseconds")
    model: ModelMessage = Field(description="what judged")
    settings: SettingsMessage = Field(description="by which settings")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

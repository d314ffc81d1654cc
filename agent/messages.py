"""The nouns that cross a thread inside the agent: frozen dataclasses around numpy arrays.

What leaves it stands in `agent/contract`. Boxes are x, y, width, height in pixels of the original frame or
web.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
Samples: TypeAlias = npt.NDArray[np.uint8 | np.uint16]  # as a camera gives them, until `prepare`
Floats: TypeAlias = npt.NDArray[np.float32]
Flags: TypeAlias = npt.NDArray[np.bool_]
Box: TypeAlias = tuple[int, int, int, int]
VerdictName: TypeAlias = Literal["pass", "fail", "undecided", "skipped"]


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
    goes_on: bool = False  # the next frame brings more of the same part
    part_id: str | None = None

    def digest(self) -> str:
        """SHA-256 of the pixels alone: rows from the top, R, G, B, 16 bits with the lower byte first."""
        ordered = self.image.astype(self.image.dtype.newbyteorder("<"), copy=False)
        return hashlib.sha256(np.ascontiguousarray(ordered).data).hexdigest()


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
    epoch: int = 0  # as a frame's
    lines_lost: int = 0
    part_id: str | None = None
    thumbnail: Pixels | None = field(default=None, compare=False)  # of a picture that could not be kept


Item: TypeAlias = Frame | FrameFault  # what a trigger gave


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
    label: str | None = None  # of its class; None where it was not named
    label_certainty: float | None = None  # 0.5 to 1
    label_reason: str | None = None  # why it was not named, where it should be


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

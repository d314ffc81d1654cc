"""What stands in the JSON of an entry's chunks: checked when it is read, since anybody can write a file."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from agent.foreign import stored
from agent.line.ignore import Ignore
from agent.line.judge import Rules
from agent.messages import Flags, Frame

SCHEMA = "plumbline.archive/1"

MarkWord = Literal["confirmed", "false_alarm", "missed_defect"]


class _Json(BaseModel):
    """Fields that a later version has added are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Ignored(_Json):
    """Regions that counted for nothing, in frame pixels."""

    polygons: tuple[tuple[tuple[float, float], ...], ...]
    top: int = Field(ge=1)


class Decided(_Json):
    """By which rules a frame was judged: with the bundle, all that is needed to judge it once more."""

    threshold: float
    calibrated: dict[str, float]  # thresholds of other precisions
    precision: str | None  # in which it was judged; None where it was not
    min_area_px: int
    max_invalid_ratio: float
    max_windows: int
    ignore: Ignored | None
    part_line: int = 0  # of the frame's first line, counted from where its part begins

    def rules(self, *, scale: float, stride_px: int) -> Rules:
        """As `judge` takes them; scale and stride are the bundle's."""
        ignore = self.ignore
        return Rules(
            threshold=self.threshold,
            scale=scale,
            stride_px=stride_px,
            min_area_px=self.min_area_px,
            max_invalid_ratio=self.max_invalid_ratio,
            max_windows=self.max_windows,
            calibrated=self.calibrated,
            ignore=None if ignore is None else Ignore(polygons=ignore.polygons, top=ignore.top),
        )


class Record(_Json):
    """What the frame said that its verdict does not, and what judged it."""

    schema_: Literal["plumbline.archive/1"] = Field("plumbline.archive/1", alias="schema")
    recipe: str
    bit_depth: int = Field(ge=1, le=16)
    captured_at: AwareDatetime
    device_ns: int | None
    epoch: int
    line_status: int | None
    part_id: str | None
    is_partial: bool
    goes_on: bool
    invalid: (
        tuple[tuple[int, int], ...] | None
    )  # first and after-last line of each stretch that was filled in
    map_exponent: int | None  # of the power of two that the map's halves are multiplied by
    decided: Decided | None = None  # None in entries of versions that did not keep it


class Score(_Json):
    raw: float
    threshold: float


class Labelled(_Json):
    """As much of a defect as the index needs."""

    label: str | None = None
    bbox_px: tuple[int, int, int, int]


class Lines(_Json):
    """As much of what is said of a frame as the index needs."""

    lines: int = 0


class Told(_Json):
    """As much of a verdict as the index needs, of any version."""

    result_id: str
    created: str
    camera: str
    verdict: Literal["pass", "fail", "undecided"]
    reason: str | None
    part_id: str | None
    score: Score | None
    frame: Lines = Lines()
    defects: tuple[Labelled, ...] = ()


class Model(_Json):
    sha256: str


class Judged(_Json):
    """As much of a verdict as says which bundle judged."""

    model: Model


class Mark(_Json):
    """What a person said of a verdict: that it is right, or that it is wrong in one of two ways."""

    word: MarkWord
    by: str = Field(max_length=100)
    at: AwareDatetime


def decided_by(rules: Rules, *, precision: str | None, part_line: int = 0) -> Decided:
    ignore = rules.ignore
    return Decided(
        threshold=rules.threshold,
        calibrated=dict(rules.calibrated),
        precision=precision,
        min_area_px=rules.min_area_px,
        max_invalid_ratio=rules.max_invalid_ratio,
        max_windows=rules.max_windows,
        ignore=None if ignore is None else Ignored(polygons=ignore.polygons, top=ignore.top),
        part_line=part_line,
    )


def record_of(frame: Frame, recipe: str, map_exponent: int | None, decided: Decided | None = None) -> Record:
    return Record(
        recipe=recipe,
        bit_depth=frame.bit_depth,
        captured_at=frame.captured_at,
        device_ns=frame.device_ns,
        epoch=frame.epoch,
        line_status=frame.line_status,
        part_id=None if frame.part_id is None else stored(frame.part_id),
        is_partial=frame.is_partial,
        goes_on=frame.goes_on,
        invalid=None if frame.valid is None else _stretches(~frame.valid),
        map_exponent=map_exponent,
        decided=decided,
    )


def valid_lines(record: Record, lines: int) -> Flags | None:
    """As the frame had them."""
    if record.invalid is None:
        return None
    valid = np.ones(lines, np.bool_)
    for start, stop in record.invalid:
        valid[start:stop] = False
    return valid


def _stretches(flags: Flags) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))

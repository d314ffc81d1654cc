"""`plumbline.verdict/1`: the record of one trigger, as consumers read it.

Boxes are x, y, width, height in pixels of the original frame or web.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from agent.messages import VerdictName

# OPC UA 40001-101 ResultEvaluationEnum: a verdict that is not a decision is never OK.
EVALUATION: dict[VerdictName, tuple[str, int]] = {
    "pass": ("OK", 1),
    "fail": ("NotOK", 2),
    "undecided": ("NotDecidable", 3),
    "skipped": ("Undefined", 0),
}


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


REASONS = {
    "overload": "skipped: newer triggers came before the line was free",
    "camera_error": "skipped or undecided: the camera gave no picture, a damaged one, or one of a wrong form",
    "lost_lines": "undecided, or skipped where nothing was left: more lines lost than the settings allow",
    "engine_error": "undecided: no engine could judge the frame",
    "no_model": "undecided: no model bundle is whole, and nothing is judged until one is installed",
    "bundle_opening": "undecided: the bundle of the part's recipe is being opened",
    "stopped": "skipped: the agent was told to stop before this trigger could be judged",
    "not_finite": "undecided: the engine's score is not a number",
    "paused": "skipped: the station is paused by cmd/pause; detail says since when, by whom and why",
    "part_missing": "undecided: the settings ask for a part, and none was named for this trigger",
    "unknown_product": "undecided: no recipe is for this part, and none of another product judges it",
    "all_ignored": "undecided: the regions that the recipe ignores cover the whole picture",
}


LabelReason: TypeAlias = Literal["late", "opening", "refused", "failed"]


class CropRef(_Message):
    """A picture of a defect that travels on its own."""

    crop_id: str = Field(description="of the crop's message; unique for ever")
    sha256: str = Field(description="of the picture's bytes, in hexadecimal")
    bytes: int = Field(ge=1, description="size of the picture")


class DefectMessage(_Message):
    """One defect; boxes are x, y, width, height, and a frame's first line is y = 0."""

    index: int = Field(ge=0, description="from 0 inside this verdict; crops name it as `defect_index`")
    label: str | None = Field(
        None,
        max_length=48,
        description="class of the defect, or `unknown` where it is like no labelled one; null: not named",
    )
    label_certainty: float | None = Field(
        None,
        ge=0,
        le=1,
        description="about how often such a label is right, 0.5 for a draw; absent without a label",
    )
    label_reason: LabelReason | None = Field(
        None, description="why the recipe's label set did not name it; absent where it did, or there is none"
    )
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

    @model_serializer(mode="wrap")
    def _short_where_nobody_labels(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Sixteen defects stand in 8 KiB."""
        content: dict[str, Any] = plain(self)
        for name in ("label_certainty", "label_reason"):
            if content.get(name, ...) is None:
                del content[name]
        return content


class ScoreMessage(_Message):
    """How far from good: the frame's worst tile."""

    raw: float = Field(description="higher is worse")
    threshold: float = Field(description="at or above it the frame fails")
    normalized: float = Field(description="100 is the threshold")


class FrameMessage(_Message):
    """What the camera gave for this trigger."""

    id: int = Field(description="number of the trigger, by camera; grows by one")
    epoch: int = Field(
        0,
        ge=0,
        description="connection to the camera, from 0 in each run: over another one `id` goes on, and "
        "triggers that came between are not counted",
    )
    first_line: int = Field(description="absolute line of the frame's first row; 0 for area cameras")
    lines: int = Field(ge=0, description="rows of the frame; 0 when there was no picture")
    lines_lost: int = Field(ge=0, description="missing directly before or inside this frame")
    encoder: int | None = Field(description="count at the first row; null without an encoder")
    sha256: str | None = Field(
        description="of the judged pixels alone: rows from the top, R, G, B, the lower byte of 16 bits first;"
        " null when there were none"
    )


class TimingMessage(_Message):
    """How long it took, in milliseconds; null for a stage that was not reached."""

    capture_to_prepared: float | None = Field(None, description="from the last line to the tiles")
    queued: float | None = Field(None, description="of which waiting in the ring")
    infer: float | None = Field(None, description="the engine")
    judge: float | None = Field(None, description="from its answer to the verdict")
    label: float | None = Field(
        None, description="from the verdict to the labels of its defects; null where none were asked for"
    )
    capture_to_recorded: float = Field(description="until the record was handed to the outbox")


class ModelMessage(_Message):
    """What judged."""

    bundle: str = Field(description="name of the model bundle")
    sha256: str = Field(description="of the bundle's manifest; empty where none judges")
    engine: str = Field(description="that judged this frame, with its precision; empty where none did")
    provisional_rate: float | None = Field(
        None,
        description="false-reject rate of a threshold from few good parts; null where it keeps its target",
    )
    labels_sha256: str | None = Field(
        None, description="of the label set that names defects of this recipe; null where none does"
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
    is_simulated: bool = Field(
        False, description="no real camera or no real part, as when files are shown again: never book it"
    )
    replayed: bool = Field(False, description="sent again because cmd/replay asked for it")
    part_id: str | None = Field(None, description="serial number or code of the part; null: not known")
    bind_id: str | None = Field(
        None, description="UUID of the message (cmd/bind, OPC UA, Modbus) that named the part; null: none did"
    )
    job_id: str | None = Field(None, description="order that the part belongs to; null: not known")
    recipe_id: str = Field(
        "default", description="recipe by which it was judged; empty where none was for it"
    )
    roll_id: str | None = Field(None, description="of the roll on the web; null without rolls")
    score: ScoreMessage | None = Field(description="null when nothing was judged")
    defects: tuple[DefectMessage, ...] = Field((), description="of a fail; see `continued_from_line`")
    sample: CropRef | None = Field(
        None, description="picture of a part that passed, sent on crop/{camera}; absent where none is"
    )
    continued_from_line: int | None = Field(
        None,
        description="a defect at this window's top is named in the record of the window with this first line",
    )
    frame: FrameMessage = Field(description="what the camera gave for this trigger")
    timing_ms: TimingMessage = Field(description="how long it took, in milliseconds")
    model: ModelMessage = Field(description="what judged")
    settings: SettingsMessage = Field(description="by which settings")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_serializer(mode="wrap")
    def _short_without_a_sample(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = plain(self)
        if content.get("sample", ...) is None:
            del content["sample"]
        return content

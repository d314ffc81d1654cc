"""`plumbline.part/1`: what the views of one part say together, and the row that carries it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.contract.payloads import JSON, cloud_event, encode
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.messages import VerdictName

SCHEMA = "plumbline.part/1"

PartVerdictName: TypeAlias = Literal["pass", "fail", "undecided"]
PART_VERDICTS: tuple[PartVerdictName, ...] = ("pass", "fail", "undecided")
By: TypeAlias = Literal["trigger", "part_id", "encoder", "message"]

PART_REASONS = {
    "view_missing": "a camera of the rule gave no view of this part in time: `missing` names it",
    "view_undecided": "a view is undecided or skipped; its own record says why",
    "late_view": "the view came after its part was told, which `late_for` names",
    "seen_twice": "a camera saw this part, or its code, once more before the other views were there",
    "two_parts": "its place on the belt lies within `window_ticks` of two parts",
    "mixed_ids": "the views bear different part ids: they are of different parts",
    "out_of_step": "trigger counters of the cameras do not tell yet which views belong together",
    "encoder_back": "the encoder went back or began again, and places on the belt mean something else now",
    "no_key": "the view bears no part id, message or encoder count by which it could be brought to others",
}


class PartView(BaseModel):
    """One view of the part: which verdict record, and what it says."""

    camera: str = Field(description="as in the topic of the verdict")
    result_id: str = Field(description="of the verdict")
    sequence: int = Field(ge=1, description="of the verdict")
    boot_id: str = Field(description="of the verdict")
    verdict: VerdictName = Field(description="of the verdict")
    reason: str | None = Field(None, description="of the verdict; null with pass and fail")
    score: float | None = Field(None, description="`score.normalized` of the verdict: 100 is the threshold")
    defects: int = Field(0, ge=0, description="how many the verdict names")
    frame_id: int = Field(description="`frame.id` of the verdict")
    encoder: int | None = Field(None, description="`frame.encoder` of the verdict")

    model_config = ConfigDict(frozen=True, extra="forbid")


class PartVerdict(BaseModel):
    """`plumbline.part/1`: every view of a camera with a part rule is named by exactly one."""

    schema_: Literal["plumbline.part/1"] = Field(
        "plumbline.part/1", alias="schema", description="name and major version of this message"
    )
    result_id: str = Field(description="UUID of this part verdict, unique for ever: de-duplicate on it")
    sequence: int = Field(ge=1, description="of part verdicts, without a gap by station")
    boot_id: str = Field(description="UUID of the run of the agent that decided")
    station: str = Field(description="as in the topic")
    rule: str = Field(description="as in the topic: the part rule of the settings")
    created: str = Field(description="when it was decided: UTC, RFC 3339, by the station's clock")
    clock_synced: bool | None = Field(description="whether that clock was synchronised; null: not known")
    verdict: PartVerdictName = Field(
        description="fail: a view failed; else undecided: a view is missing, undecided or skipped, or it is "
        "in doubt whose it is; else pass"
    )
    result_evaluation: Literal["OK", "NotOK", "NotDecidable"] = Field(
        description="`verdict` in the words of OPC 40001-101 ResultEvaluationEnum"
    )
    result_evaluation_code: int = Field(
        ge=1, le=3, description="and as its number: 1 pass, 2 fail, 3 undecided"
    )
    reason: str | None = Field(description="why there is no decision; null with pass and fail")
    detail: str | None = Field(None, max_length=500, description="the same for people; words may change")
    is_partial: bool = Field(False, description="of a view only a piece was seen")
    is_simulated: bool = Field(False, description="a view has no real camera or no real part: never book it")
    part_id: str | None = Field(
        None, description="on which all views that bear one agree; null: none, or not"
    )
    job_id: str | None = Field(None, description="on which all views that bear one agree; null: none, or not")
    by: By = Field(description="how views are brought together by this rule")
    key: str | None = Field(
        description="what brought these together: trigger number, part id, place on the belt in ticks, or "
        "the `bind_id` of the message; null where nothing did"
    )
    cameras: tuple[str, ...] = Field(description="of the rule, in the order of the settings")
    missing: tuple[str, ...] = Field((), description="those of them without a view here")
    views: tuple[PartView, ...] = Field(min_length=1, description="in the order of their records")
    late_for: str | None = Field(
        None, description="`result_id` of the part verdict that this view came too late for; null: for none"
    )

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def part_row(topics: Topics, part: PartVerdict) -> Row:
    """The row that carries one part verdict, among the events."""
    return Row(
        id=part.result_id,
        kind="event",
        topic=topics.part(part.rule),
        payload=encode(part),
        content_type=JSON,
        properties=cloud_event(topics, part.result_id, part.schema_, part.created),
    )

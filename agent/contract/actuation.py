"""`plumbline.actuation/1`: what an output did for one part, or failed to do, and how late. Pure.

A part that passed, by a shut gate and with its verdict there in time, has none: its verdict is its record.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.contract.payloads import JSON, cloud_event, encode
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.messages import VerdictName

SCHEMA = "plumbline.actuation/1"

Action: TypeAlias = Literal["reject", "pass", "missed"]
Cause: TypeAlias = Literal[
    "verdict", "no_verdict", "late_verdict", "neighbour", "too_late", "gate", "untracked", "stopped"
]
CAUSES: dict[Cause, str] = {
    "verdict": "its verdict asked for it",
    "no_verdict": "no verdict was there in time, and the settings say what then happens",
    "late_verdict": "what was done before its verdict came, which this message now names",
    "neighbour": "a good part that was in front of the gate while that was open for another",
    "too_late": "its moment had passed when it was known of, as after a pause of readings or of the machine",
    "gate": "the gate did not answer before the part's deadline",
    "untracked": "nobody knows where it was, see detail",
    "stopped": "the agent was stopped while the part was on its way",
}


class Actuation(BaseModel):
    """`plumbline.actuation/1`: durable, one for each thing that an output did or failed to do."""

    schema_: Literal["plumbline.actuation/1"] = Field(
        "plumbline.actuation/1", alias="schema", description="name and major version of this message"
    )
    actuation_id: str = Field(description="UUID, unique for ever: de-duplicate on it")
    sequence: int = Field(ge=1, description="of the output, without a gap by `boot_id`")
    boot_id: str = Field(description="UUID of this run of the agent")
    station: str = Field(description="as in the topic")
    output: str = Field(description="name of the output in the settings")
    created: str = Field(description="when it was told: UTC, RFC 3339, by the station's clock")
    action: Action = Field(
        description="reject: the gate was open for the part; pass: it was shut, and should perhaps not have "
        "been; missed: the gate should have opened and did not"
    )
    cause: Cause = Field(
        description="why\n\n- " + "\n- ".join(f"`{name}`: {meaning}" for name, meaning in CAUSES.items())
    )
    is_late: bool = Field(description="the gate's answer came after the part's deadline, or the verdict did")
    lateness_ms: float | None = Field(
        description="from the moment at which the part was at the gate to the gate's answer; null: not moved"
    )
    verdict_lateness_ms: float | None = Field(
        None, description="from that moment to the verdict, where it came after it; null where it was in time"
    )
    merged: bool = Field(False, description="the gate was open already, for another part")
    is_estimated: bool = Field(
        False, description="the encoder was reset while the part was on its way: its place is a guess"
    )
    detail: str | None = Field(None, description="for people; words may change")
    camera: str = Field(description="from whose picture the distance counts")
    frame_id: int | None = Field(
        description="of the trigger, as `frame.id` in its verdict; null: that camera gave no view of the part"
    )
    result_id: str | None = Field(description="of the verdict; null where none has come yet")
    verdict: VerdictName | None = Field(description="that was acted on; null where none has come yet")
    part_id: str | None = Field(None, description="serial number or code of the part; null: not known")
    part_result_id: str | None = Field(
        None, description="of the part's verdict, where the output acts on those of several cameras"
    )
    is_simulated: bool = Field(False, description="as in the verdict")

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def actuation_row(topics: Topics, actuation: Actuation) -> Row:
    """The row that carries it, among the events."""
    return Row(
        id=actuation.actuation_id,
        kind="event",
        topic=topics.actuation(),
        payload=encode(actuation),
        content_type=JSON,
        properties=cloud_event(topics, actuation.actuation_id, actuation.schema_, actuation.created),
    )

"""`plumbline.mark/1`: what somebody says of a verdict, and what that makes of the part. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from agent.contract.payloads import JSON, cloud_event, encode
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.contract.verdict import ScoreMessage
from agent.messages import VerdictName

SCHEMA = "plumbline.mark/1"

Says: TypeAlias = Literal["right", "wrong"]
Way: TypeAlias = Literal["page", "mqtt", "mes"]
Truth: TypeAlias = Literal["good", "defective"]


class Mark(BaseModel):
    """`plumbline.mark/1`: durable, never changed. The newest of a result holds, those before are history."""

    schema_: Literal["plumbline.mark/1"] = Field(
        "plumbline.mark/1", alias="schema", description="name and major version of this message"
    )
    mark_id: str = Field(description="UUID, unique for ever: de-duplicate on it")
    sequence: int = Field(ge=1, description="of marks, without a gap by station; higher is newer")
    boot_id: str = Field(description="UUID of the run of the agent that took it")
    station: str = Field(description="as in the topic")
    created: str = Field(description="when it was made: UTC, RFC 3339, by the station's clock")
    says: Literal["right", "wrong", "taken_back"] = Field(
        description="of the verdict; taken_back: nothing is said of it any more"
    )
    truth: Truth | None = Field(
        description="what the part then is; of an undecided one that could have been decided it is "
        "defective with a label, else good; null: not told"
    )
    label: str | None = Field(description="class of the defect, or of what was mistaken for one; null: none")
    defect_index: int | None = Field(
        description="the one of the verdict's defects that it is about; null: all"
    )
    who: str = Field(description="who says it, as far as is known")
    way: Way = Field(description="a person at the page, a person by a command, or a system by one")
    picture: Literal["kept", "gone"] = Field(
        description="whether the station kept the pixels then; gone: never kept, or deleted to make room"
    )
    result_id: str = Field(description="of the verdict, and what follows as it stands there")
    camera: str = Field(description="as in the topic of the verdict")
    verdict: VerdictName = Field(description="then")
    result_sequence: int = Field(description="the verdict's `sequence`")
    result_boot_id: str = Field(description="the verdict's `boot_id`")
    result_created: str = Field(description="the verdict's `created`")
    recipe_id: str = Field(description="recipe by which it was judged")
    bundle_sha256: str = Field(description="of the bundle that judged; empty where none did")
    part_id: str | None = Field(description="serial number or code of the part; null: not known")
    job_id: str | None = Field(description="order that the part belongs to; null: not known")
    score: ScoreMessage | None = Field(description="null when nothing was judged")

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def truth_of(verdict: VerdictName, says: Says, label: str | None) -> Truth | None:
    """What the part is, when this is said of its verdict; None where that does not follow."""
    match verdict, says:
        case ("pass", "right") | ("fail", "wrong"):
            return "good"
        case ("pass", "wrong") | ("fail", "right"):
            return "defective"
        case "undecided", "wrong":
            return "good" if label is None else "defective"
    return None


def mark_row(topics: Topics, mark: Mark) -> Row:
    """The row that carries one mark, among the events."""
    return Row(
        id=mark.mark_id,
        kind="event",
        topic=topics.mark(),
        payload=encode(mark),
        content_type=JSON,
        properties=cloud_event(topics, mark.mark_id, mark.schema_, mark.created),
    )

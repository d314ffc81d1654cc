"""What stands in the messages: the status, and the rows that carry verdicts and crops.

Every row bears the CloudEvents attributes of the MQTT binding as properties, so that a consumer
who knows nothing of Plumbline can still tell messages apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agent.clock import rfc3339
from agent.contract import chain
from agent.contract.row import Row, Waiting
from agent.contract.topics import Topics
from agent.contract.verdict import Verdict
from agent.messages import Box

JSON = "application/json"
CROP_SCHEMA = "plumbline.crop/1"
CROP_HEADER_SCHEMA = "plumbline.crop_header/1"

StatusName: TypeAlias = Literal["online", "degraded", "offline", "stopped"]


class Hold(BaseModel):
    """That people have stopped something: since when, who, and why."""

    since: str = Field(description="UTC, RFC 3339, by the station's clock")
    who: str = Field(description="issuer of the signed command, or what it said")
    reason: str = Field(description="as it was given, for people")

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def words(self) -> str:
        return f"since {self.since} by {self.who}: {self.reason}"

    def data(self) -> dict[str, JsonValue]:
        return self.model_dump()


class Status(BaseModel):
    """`plumbline.status/1`: retained; the broker publishes the offline one when the agent vanishes."""

    schema_: Literal["plumbline.status/1"] = Field(
        "plumbline.status/1", alias="schema", description="name and major version of this message"
    )
    state: StatusName = Field(
        description="degraded: it works, with something that should be mended; stopped: it said goodbye; "
        "offline: it vanished"
    )
    reason: str | None = Field(description="for people: what is wrong; null while nothing is")
    station: str = Field(description="as in the topic")
    boot_id: str = Field(description="UUID of this run of the agent")
    versions: Mapping[str, str] = Field(description="of the software, by name")
    bundle_sha256: str | None = Field(description="of the model bundle's manifest; null without one")
    settings_sha256: str | None = Field(description="of the settings in force; null where not known")
    engine: str | None = Field(None, description="that serves; null where none does")
    since: str | None = Field(description="start of this state; null in the last will, written beforehand")
    paused: Hold | None = Field(None, description="no trigger is judged, by cmd/pause; null: they are")
    disabled: Mapping[str, Hold] = Field(
        default_factory=dict, description="cameras that are closed by cmd/disable, by name"
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def encode(message: BaseModel) -> bytes:
    """A message as it travels."""
    return message.model_dump_json(by_alias=True).encode()


def verdict_row(topics: Topics, verdict: Verdict) -> Row:
    """The row that carries one verdict."""
    return Row(
        id=verdict.result_id,
        kind="verdict",
        topic=topics.verdict(verdict.camera),
        payload=encode(verdict),
        content_type=JSON,
        properties=cloud_event(topics, verdict.result_id, verdict.schema_, verdict.created),
        sequence=verdict.sequence,
    )


def crop_row(
    topics: Topics,
    *,
    camera: str,
    crop_id: str,
    result_id: str,
    defect_index: int,
    bbox_px: Box,
    image: bytes,
    sha256: str,
    content_type: str,
    created: datetime,
    of_pass: bool = False,
) -> Row:
    """The row that carries one defect crop, its metadata in the properties; `sha256` is that of `image`."""
    return Row(
        id=crop_id,
        kind="crop",
        topic=topics.crop(camera),
        payload=image,
        content_type=content_type,
        properties=(
            ("result_id", result_id),
            ("crop_id", crop_id),
            ("defect_index", str(defect_index)),
            ("sha256", sha256),
            ("bbox", ",".join(map(str, bbox_px))),
            ("verdict", "pass" if of_pass else "fail"),
            *cloud_event(topics, crop_id, CROP_SCHEMA, rfc3339(created)),
        ),
        of_pass=of_pass,
    )


def told(waiting: Waiting) -> Row:
    """A committed row as it leaves: with its place in the chain."""
    if not waiting.place:
        return waiting.row
    payload, properties = leaving(waiting)
    return replace(waiting.row, payload=payload, properties=properties)


def leaving(waiting: Waiting) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Payload and properties of the same, without another row being made."""
    row = waiting.row
    if not waiting.place:
        return row.payload, row.properties
    words = chain.words_of(waiting.place, waiting.seq)
    if row.content_type == JSON and chain.can_bear(row.payload):
        return chain.borne(row.payload, words), row.properties
    return row.payload, (*row.properties, (chain.NAME, words))


def crop_header(row: Row) -> bytes:
    """A crop's properties as JSON, for brokers whose messages have none."""
    header = {"schema": CROP_HEADER_SCHEMA, "content_type": row.content_type, **dict(row.properties)}
    return json.dumps(header, separators=(",", ":")).encode()


def cloud_event(topics: Topics, id_: str, type_: str, time: str) -> tuple[tuple[str, str], ...]:
    """The attributes of the CloudEvents MQTT binding 1.0.2, section 3.1, as user properties."""
    return (("specversion", "1.0"), ("id", id_), ("source", topics.prefix), ("type", type_), ("time", time))

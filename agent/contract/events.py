"""`plumbline.event/1`: what a person or the MES should know besides verdicts, and the row that carries it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agent.clock import Clock, rfc3339
from agent.contract.payloads import JSON, cloud_event, encode
from agent.contract.row import Row
from agent.contract.topics import Topics

Severity: TypeAlias = Literal["info", "warning", "alarm"]

EVENT_NAMES = {
    "crop_evicted": "a crop was deleted undelivered to stay within the outbox's bounds",
    "spool_full": "the outbox has reached its bound and has nothing left that it may delete",
    "spool_recovered": "the outbox takes verdicts again",
    "row_refused": "the broker did not take a message; it is kept and tried again",
    "row_quarantined": "connections kept ending while this message was on its way; it is kept apart",
    "no_subscriber": "the broker takes our verdicts and nobody is subscribed to them",
    "outbox_set_aside": "the outbox file was damaged; it was moved away whole, and what could be read of it "
    "is in a fresh one: data counts what was saved and lost, and names the lost sequences",
    "outbox_older": "the outbox file is an older copy of what was signed: records since then are not in it, "
    "and sequences of then are given again, under another boot_id",
    "row_changed": "a row was changed in the outbox file after its commit; it is kept apart and never sent",
    "chain_unsigned": "the station's key cannot be used, so nobody signs its chain of records, see detail",
    "outbox_unshrinkable": "an older agent made the outbox file; it grows and never shrinks, see detail",
    "broker_limited": "the broker does not do all that we ask for; one thing is done without, see detail",
    "inbound_oversized": "the broker began to send a packet over our limit, which ended the connection",
    "binding_unused": "no trigger came for a part that was bound to it",
    "paused": "the station judges no trigger any more: data says who asked for it and why",
    "resumed": "the station judges again",
    "camera_disabled": "a camera is closed and stays so: data says who asked for it and why",
    "camera_enabled": "a camera that was disabled is opened again",
    "camera_frozen": "a camera gives the same picture again and again: its verdicts say nothing of the parts",
    "camera_moves": "a camera that was frozen gives other pictures again",
    "recipe_switched": "another recipe judges from the next part on: data says which, and who asked for it",
    "duplicate_client_id": "another client connects with our client id",
    "gateway_failing": "a gateway does not take records; they wait for it",
    "gateway_skipped": "rows were deleted at the outbox's bounds before a gateway had taken them",
    "gateway_recovered": "a gateway takes records again",
    "rollout_committed": "a new model bundle has stood its probation, and stays: data names it",
    "rollout_rolled_back": "a new model bundle was taken back, and why; alarm: no other one was left",
    "rollout_refused": "a model bundle was wanted and does not serve here, and why; the one before does",
    "rollout_hindered": "the record of rollouts cannot be read or written, see detail; what serves stays",
    "no_bundle": "no model bundle is whole: every trigger is undecided until one is installed",
    "drift": "pictures or scores are no longer those of the first good parts; data.kind: light_changed, "
    "picture_changed, more_defects or scores_moved",
    "drift_over": "pictures and scores are again those of the first good parts",
    "output_late": "an output did not act on a part at its moment, or without its verdict; data names it",
    "output_punctual": "an output has acted in time for a minute; data says how often it had not",
    "output_failing": "what moves the gate of an output does not answer, see detail",
    "output_recovered": "it answers again",
    "output_reset": "an encoder was reset: where the parts are that are on their way to a gate is a guess",
    "part_views_lost": "verdicts could not be looked at for their parts: the outbox has deleted them",
    "parts_set_aside": "what was known of open parts was damaged; it was moved away, and part verdicts go on",
    "roll_map": "a roll has ended: what was seen of it, its strongest defects, and the files of its map",
}


class EventMessage(BaseModel):
    """`plumbline.event/1`."""

    schema_: Literal["plumbline.event/1"] = Field(
        "plumbline.event/1", alias="schema", description="name and major version of this message"
    )
    event_id: str = Field(description="UUID, unique for ever: de-duplicate on it")
    event: str = Field(description="one of the names in the AsyncAPI document")
    severity: Severity = Field(description="alarm: somebody must come; warning: soon; info: never")
    created: str = Field(description="when it happened: UTC, RFC 3339, by the station's clock")
    boot_id: str = Field(description="UUID of this run of the agent")
    station: str = Field(description="as in the topic")
    detail: str = Field(description="one sentence for people")
    data: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="for programs; what there is depends on `event`"
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class EventMaker:
    """Makes the rows of one agent's events."""

    def __init__(self, topics: Topics, *, boot_id: str, clock: Clock, new_id: Callable[[], str]) -> None:
        self.topics = topics
        self._boot_id = boot_id
        self._clock = clock
        self._new_id = new_id

    def row(self, event: str, severity: Severity, detail: str, **data: JsonValue) -> Row:
        """Raises KeyError for a name that EVENT_NAMES does not have."""
        EVENT_NAMES[event]
        message = EventMessage(
            event_id=self._new_id(),
            event=event,
            severity=severity,
            created=rfc3339(self._clock.utc_now()),
            boot_id=self._boot_id,
            station=self.topics.station,
            detail=detail,
            data=data,
        )
        return Row(
            id=message.event_id,
            kind="event",
            topic=self.topics.event(),
            payload=encode(message),
            content_type=JSON,
            properties=cloud_event(self.topics, message.event_id, message.schema_, message.created),
        )

"""`plumbline.head/1`: the end of a station's chain of records, signed with the station's key. Pure.

The message is a DSSE 1.0.2 envelope with a few members that say what it is. The signed payload (`payload`,
base64) is the JSON of a HeadStatement; whoever knows the station's public key knows by it that every record
up to `number` is as the station made it, once the links lead to `link`.
"""

from __future__ import annotations

import base64
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.contract.chain import BEGINNING, LINK_BYTES, SEGMENT_BYTES
from agent.contract.payloads import JSON, cloud_event, encode
from agent.contract.row import Row
from agent.contract.topics import Topics
from agent.errors import PlumblineError

SCHEMA = "plumbline.head/1"
HEAD_TYPE = "application/vnd.plumbline.head+json"

Reason: TypeAlias = Literal["minute", "shift", "stop", "begun", "mended"]

_SEGMENT = rf"^[0-9a-f]{{{2 * SEGMENT_BYTES}}}$"
_LINK = rf"^[0-9a-f]{{{2 * LINK_BYTES}}}$"


class HeadError(PlumblineError):
    """A message is no head; the text has no place: the caller knows it."""


class ChainEnd(BaseModel):
    """A record, and the link behind it."""

    segment: str = Field(
        pattern=_SEGMENT, description="of the chain; a new one begins when a file was mended"
    )
    number: int = Field(ge=0, description="of the last record; 0 before the first")
    link: str = Field(pattern=_LINK, description="what the record behind it carries as `previous`")

    model_config = ConfigDict(frozen=True, extra="ignore")


class HeadStatement(ChainEnd):
    """What is signed: the chain ends here."""

    schema_: Literal["plumbline.head/1"] = Field(
        "plumbline.head/1", alias="schema", description="name and major version of this message"
    )
    head_id: str = Field(description="UUID, unique for ever: de-duplicate on it")
    station: str = Field(description="as in the topic")
    boot_id: str = Field(description="UUID of this run of the agent")
    created: str = Field(description="when it was signed: UTC, RFC 3339, by the station's clock")
    clock_synced: bool | None = Field(description="whether that clock was synchronised; null: not known")
    reason: Reason = Field(
        description="why now; begun: the segment begins with it; mended: too, and the one before was cut off"
    )
    first: int = Field(ge=1, description="from this number on the station has every record, or its digest")
    follows: ChainEnd | None = Field(
        None, description="the last head that is known of the segment before; null: there is none"
    )
    lost: tuple[tuple[int, int], ...] = Field(
        (), description="first and last of each gap that a damaged file left in the segment before"
    )
    key: str = Field(
        pattern=_LINK, description="the station's public key of Ed25519, 32 bytes in hexadecimal"
    )

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @property
    def begins(self) -> bool:
        """Whether the segment begins with it."""
        return self.link == BEGINNING.hex()


class HeadSignature(BaseModel):
    """One of DSSE."""

    keyid: str = Field(description="SHA-256 of the public key, in hexadecimal; a hint that nobody signed")
    sig: str = Field(description="base64 of the Ed25519 signature over the pre-authentication encoding")

    model_config = ConfigDict(frozen=True, extra="ignore")


class Head(BaseModel):
    """`plumbline.head/1`: what is signed stands in `payload`, and what is said beside it is the same."""

    schema_: Literal["plumbline.head/1"] = Field(
        "plumbline.head/1", alias="schema", description="name and major version of this message"
    )
    head_id: str = Field(description="UUID, unique for ever: de-duplicate on it")
    boot_id: str = Field(description="UUID of this run of the agent")
    station: str = Field(description="as in the topic")
    created: str = Field(description="when it was signed: UTC, RFC 3339, by the station's clock")
    payload_type: Literal["application/vnd.plumbline.head+json"] = Field(
        "application/vnd.plumbline.head+json", alias="payloadType", description="is signed, too"
    )
    payload: str = Field(description="base64 of the JSON of a HeadStatement")
    signatures: tuple[HeadSignature, ...] = Field(description="of the station's key")

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def head_of(statement: HeadStatement, *, keyid: str, signature: bytes) -> Head:
    """The message, from what was signed and the signature over it."""
    return Head(
        head_id=statement.head_id,
        boot_id=statement.boot_id,
        station=statement.station,
        created=statement.created,
        payload=base64.b64encode(encode(statement)).decode(),
        signatures=(HeadSignature(keyid=keyid, sig=base64.b64encode(signature).decode()),),
    )


def head_row(topics: Topics, head: Head) -> Row:
    """The row that carries one head, among the events."""
    return Row(
        id=head.head_id,
        kind="event",
        topic=topics.head(),
        payload=encode(head),
        content_type=JSON,
        properties=cloud_event(topics, head.head_id, head.schema_, head.created),
    )


def stated(content: bytes) -> HeadStatement:
    """What a head states; `content` is its payload without its place in the chain. Checks no signature.

    Raises HeadError for what is no head, or says beside the statement another thing than is signed.
    """
    try:
        head = Head.model_validate_json(content)
        statement = HeadStatement.model_validate_json(base64.b64decode(head.payload, validate=True))
    except (ValidationError, ValueError) as error:
        raise HeadError("it is no head of a chain, or is damaged") from error
    said = (head.head_id, head.boot_id, head.station, head.created)
    if said != (statement.head_id, statement.boot_id, statement.station, statement.created):
        raise HeadError("it says another thing beside what is signed")
    return statement

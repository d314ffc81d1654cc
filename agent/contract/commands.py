"""A command and its answer: `plumbline.command/1`, `plumbline.response/1`, and why one is not done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from agent.contract.arguments import CommandName
from agent.contract.strict import Arguments, Strict
from agent.errors import PlumblineError

RefusalKind: TypeAlias = Literal[
    "retained",
    "unknown",
    "oversized",
    "foreign_response_topic",
    "not_json",
    "bad_arguments",
    "repeated",
    "late",
    "expired",
    "busy",
    "failed",
    "unsigned",
    "wrong_type",
    "not_addressed",
    "not_found",
    "impossible",
    "occupied",
    "failed_before",
    "deadline",
    "no_room",
]

CODES: dict[RefusalKind, int] = {
    "retained": 400,
    "unknown": 404,
    "oversized": 413,
    "foreign_response_topic": 403,
    "not_json": 400,
    "bad_arguments": 422,
    "repeated": 409,
    "late": 409,  # to bind the next trigger: it came before the command was taken
    "expired": 410,
    "busy": 429,  # too many commands wait; send it again, with the same id
    "failed": 500,  # it was accepted and could not be done
    "unsigned": 401,  # it changes the station, and no trusted key with the role command signed it
    "wrong_type": 415,  # the signed envelope holds another kind of document
    "not_addressed": 403,  # signed for another station, or as another command
    "not_found": 404,  # there is no such camera, bundle, recipe or picture here
    "impossible": 409,  # the station's settings or its state do not allow it
    "occupied": 429,  # another installation is under way
    "failed_before": 424,  # this bundle failed on this station before
    "deadline": 408,  # it took longer than it may
    "no_room": 507,  # on the disk, or what must be recorded cannot be written
}
ACCEPTED = 202  # it is being done; another answer follows, and only that one says how it ended
COMMAND_TYPE = "application/vnd.plumbline.command+json"  # of a signed command's payload


def text_in_utc(value: Any) -> Any:
    """For a validator: times are told in UTC, and as text."""
    if isinstance(value, datetime):  # our own, since JSON has none
        return value
    if not isinstance(value, str) or not value.endswith("Z") or "T" not in value:
        raise ValueError("give UTC as 2026-11-24T14:30:00Z")
    return value


class _Asked(Strict):
    """What every command has; what `args` holds depends on its name."""

    id: str = Field(min_length=1, max_length=64, description="unique for ever; a repeated one is not run")
    expires: Annotated[AwareDatetime, BeforeValidator(text_in_utc)] = Field(
        strict=False, description="UTC; afterwards the command is refused"
    )
    args: dict[str, JsonValue] = Field(description="what the command takes")


class Request(_Asked):
    """`plumbline.command/1`; its name stands in the topic."""

    schema_: Literal["plumbline.command/1"] = Field(
        alias="schema", description="name and major version of this message"
    )


class SignedRequest(_Asked):
    """`plumbline.signed-command/1`: the payload of a signed envelope, for one command at one station."""

    schema_: Literal["plumbline.signed-command/1"] = Field(
        alias="schema", description="name and major version of this message"
    )
    issuer: str = Field(pattern=r"^[a-z0-9_-]{1,64}$", description="who asks; stands in what is recorded")
    address: str = Field(min_length=1, max_length=300, description="for whom: station:SITE/AREA/LINE/STATION")
    name: str = Field(min_length=1, max_length=64, description="of the command; as in the topic")


class Response(BaseModel):
    """`plumbline.response/1`."""

    schema_: Literal["plumbline.response/1"] = Field(
        "plumbline.response/1", alias="schema", description="name and major version of this message"
    )
    id: str | None = Field(description="of the command; null when it could not be read")
    name: CommandName | None = Field(description="of the command; null when there is no such command")
    code: int = Field(
        description="200, or why not, see the codes in the AsyncAPI document; 202: it is being done, and "
        "another answer follows"
    )
    message: str = Field(description="one sentence for people")
    data: Mapping[str, JsonValue] = Field(
        description="for programs: the command's result, or `kind` of the refusal"
    )
    expiry_checked: bool | None = Field(
        None,
        description="false: `expires` was not looked at, because this station's clock is not synchronised; "
        "null: the command was refused before",
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    id: str
    name: CommandName
    arguments: Arguments
    expires: datetime
    issuer: str | None = None  # whose signature was verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """It may run now."""

    command: Command
    reply_to: str
    correlation_data: bytes | None
    expiry_checked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """It must not run. `reply_to` is None where nobody can be told."""

    code: int
    kind: RefusalKind
    message: str
    reply_to: str | None
    correlation_data: bytes | None
    id: str | None = None
    name: CommandName | None = None
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    expiry_checked: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a command has come that is being done."""

    message: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    is_kept: bool = False  # what is left goes on by itself, also after a restart


class NotDoneError(PlumblineError):
    """Raised by an action that does not do what was asked, for a reason that has a kind of its own."""

    def __init__(self, kind: RefusalKind, message: str, data: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data or {}


def response_to(answer: Response | Rejected) -> Response:
    """What is published."""
    if isinstance(answer, Response):
        return answer
    return Response(
        id=answer.id,
        name=answer.name,
        code=answer.code,
        message=answer.message,
        data={"kind": answer.kind, **answer.data},
        expiry_checked=answer.expiry_checked,
    )

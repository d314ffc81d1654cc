"""Commands to a station: what may be asked, the rules by which it is refused, and the answer.

A command is `plumbline.command/1` on `cmd/{name}`, and its answer `plumbline.response/1` goes to
the request's ResponseTopic, or to `rsp/{name}` where it has none. Nothing here does anything:
`decide` says whether a message is a command that may run now, `agent/uplink/desk.py` runs it.

A command runs once for each id: one that arrives again, as the broker may send it, is answered
with 409 and not run again. It expires, so that one which waited in the broker is not run a
shift later; a station whose clock is known not to be synchronised does not look at `expires`,
because it would refuse everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from agent import strict_json
from agent.uplink.inbound import Inbound
from agent.uplink.topics import Topics

MAXIMUM_BYTES = 64 * 1024
MAXIMUM_REPLAY = 100_000
MAXIMUM_RESULTS = 500
UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

CommandName: TypeAlias = Literal["ping", "replay", "ack"]
Kind: TypeAlias = Literal[
    "retained",
    "unknown",
    "oversized",
    "foreign_response_topic",
    "not_json",
    "bad_arguments",
    "repeated",
    "expired",
    "failed",
]

CODES: dict[Kind, int] = {
    "retained": 400,
    "unknown": 404,
    "oversized": 413,
    "foreign_response_topic": 403,
    "not_json": 400,
    "bad_arguments": 422,
    "repeated": 409,
    "expired": 410,
    "failed": 500,  # it was accepted and could not be done
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Ping(_Strict):
    """Answer, and do nothing else."""


class Replay(_Strict):
    """Publish delivered verdicts again, flagged as replayed."""

    from_sequence: int = Field(ge=1, description="the first one")
    to_sequence: int = Field(ge=1, description="the last one, included")

    @model_validator(mode="after")
    def _in_order_and_bounded(self) -> Replay:
        if self.to_sequence < self.from_sequence:
            raise ValueError(f"to_sequence {self.to_sequence} is before from_sequence {self.from_sequence}")
        if self.to_sequence - self.from_sequence >= MAXIMUM_REPLAY:
            raise ValueError(f"more than {MAXIMUM_REPLAY} sequences at a time; ask in parts")
        return self


class Ack(_Strict):
    """The MES has these results in its own store; they need not wait here any longer."""

    result_ids: Annotated[
        list[Annotated[str, Field(pattern=UUID)]],
        Field(min_length=1, max_length=MAXIMUM_RESULTS, description="`result_id` of each stored verdict"),
    ]


COMMANDS: dict[CommandName, type[Ping | Replay | Ack]] = {"ping": Ping, "replay": Replay, "ack": Ack}


def _text_in_utc(value: Any) -> Any:
    if not isinstance(value, str) or not value.endswith("Z") or "T" not in value:
        raise ValueError("give UTC as 2026-11-24T14:30:00Z")
    return value


class Request(_Strict):
    """`plumbline.command/1`; what `args` holds depends on the name in the topic."""

    schema_: Literal["plumbline.command/1"] = Field(
        alias="schema", description="name and major version of this message"
    )
    id: str = Field(min_length=1, max_length=64, description="unique for ever; a repeated one is not run")
    expires: Annotated[AwareDatetime, BeforeValidator(_text_in_utc)] = Field(
        strict=False, description="UTC; afterwards the command is refused"
    )
    args: dict[str, JsonValue] = Field(description="what the command takes")


class Response(BaseModel):
    """`plumbline.response/1`."""

    schema_: Literal["plumbline.response/1"] = Field(
        "plumbline.response/1", alias="schema", description="name and major version of this message"
    )
    id: str | None = Field(description="of the command; null when it could not be read")
    name: CommandName | None = Field(description="of the command; null when there is no such command")
    code: int = Field(description="200, or why not; see the codes in the AsyncAPI document")
    message: str = Field(description="one sentence for people")
    data: Mapping[str, JsonValue] = Field(
        description="for programs: the command's result, or `kind` of the refusal"
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    id: str
    name: CommandName
    arguments: Ping | Replay | Ack
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """It may run now."""

    command: Command
    reply_to: str
    correlation_data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """It must not run. `reply_to` is None where nobody can be told."""

    code: int
    kind: Kind
    message: str
    reply_to: str | None
    correlation_data: bytes | None
    id: str | None = None
    name: CommandName | None = None


def decide(
    inbound: Inbound,
    topics: Topics,
    *,
    now: datetime,
    clock_synced: bool | None,
    seen: Callable[[str], bool],
    allowed: Callable[[str], bool],
) -> Accepted | Rejected:
    """Whether this message may run now. Raises nothing but what `seen` and `allowed` raise.

    `seen` knows the ids of commands that have run, `allowed` the response topics that may be answered to.
    """
    name = next((name for name in COMMANDS if inbound.topic == topics.cmd(name)), None)
    asked = inbound.response_topic
    foreign = asked is not None and not allowed(asked)
    own = None if name is None else topics.rsp(name)
    reply_to = own if asked is None or foreign else asked

    def rejected(kind: Kind, message: str, id_: str | None = None) -> Rejected:
        return Rejected(
            code=CODES[kind],
            kind=kind,
            message=message,
            reply_to=reply_to,
            correlation_data=inbound.correlation_data,
            id=id_,
            name=name,
        )

    if name is None:
        return rejected("unknown", f"no such command; there are {', '.join(COMMANDS)}")
    if inbound.retained:
        return rejected("retained", "it is retained and would run at every reconnect; publish without retain")
    if len(inbound.payload) > MAXIMUM_BYTES:
        return rejected("oversized", f"{len(inbound.payload)} bytes; at most {MAXIMUM_BYTES} are read")
    if foreign:
        return rejected(
            "foreign_response_topic", f"answers go below allowed prefixes only; leave it out and read {own}"
        )
    try:
        content = strict_json.parse(inbound.payload)
    except strict_json.StrictJsonError as error:
        return rejected("not_json", f"the payload is not strict JSON: {error}")
    try:
        request = Request.model_validate(content)
        arguments = COMMANDS[name].model_validate(request.args)
    except ValidationError as error:
        return rejected("bad_arguments", _explained(error), _id_of(content))
    if seen(request.id):
        return rejected("repeated", "this id has run already; give every command its own", request.id)
    if clock_synced is not False and request.expires <= now:
        return rejected("expired", f"expired at {request.expires.isoformat()}; send it anew", request.id)
    return Accepted(
        command=Command(id=request.id, name=name, arguments=arguments, expires=request.expires),
        reply_to=asked or topics.rsp(name),
        correlation_data=inbound.correlation_data,
    )


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:64] for part in first["loc"]) or "the arguments"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}{more}; see `plumbline schema command`"


def _id_of(content: Any) -> str | None:
    """The id, if one can be told, so that the answer can be matched with what was asked."""
    id_ = content.get("id") if isinstance(content, dict) else None
    return id_ if isinstance(id_, str) and 1 <= len(id_) <= 64 else None

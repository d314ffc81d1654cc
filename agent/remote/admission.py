"""Commands to a station: what may be asked, the rules by which it is refused, and the answer.

A command is `plumbline.command/1` on `cmd/{name}`, and its answer `plumbline.response/1` goes to
the request's ResponseTopic, or to `rsp/{name}` where it has none, also for a name that no command
has; for one that cannot stand in a topic to `rsp/unknown`. Nothing here does anything: `decide` says
whether a message is a command that may run now, `agent/remote/desk.py` runs it.

A command runs once for each id: one that arrives again, as the broker may send it, is answered
with 409 and not run again. It expires, so that one which waited in the broker is not run a
shift later; a station whose clock is known not to be synchronised does not look at `expires`,
because it would refuse everything, and says so in its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from agent.contract import strict_json
from agent.contract.arguments import COMMANDS, Arguments, CommandName, Strict
from agent.contract.inbound import Inbound
from agent.contract.topics import Topics
from agent.errors import PlumblineError

MAXIMUM_BYTES = 64 * 1024

Kind: TypeAlias = Literal[
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
]

CODES: dict[Kind, int] = {
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
}


def _text_in_utc(value: Any) -> Any:
    if not isinstance(value, str) or not value.endswith("Z") or "T" not in value:
        raise ValueError("give UTC as 2026-11-24T14:30:00Z")
    return value


class Request(Strict):
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
    kind: Kind
    message: str
    reply_to: str | None
    correlation_data: bytes | None
    id: str | None = None
    name: CommandName | None = None
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    expiry_checked: bool | None = None


class NotDoneError(PlumblineError):
    """Raised by an action that does not do what was asked, for a reason that has a kind of its own."""

    def __init__(self, kind: Kind, message: str, data: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """Which command a message is for, and where its answer goes."""

    name: CommandName | None
    own: str | None  # topic of answers; None: it is no command to this station
    reply_to: str | None
    foreign: bool  # it asks for an answer where none may go


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
    address = _addressed(inbound, topics, allowed)
    content, broken = _read(inbound)

    def rejected(kind: Kind, message: str) -> Rejected:
        return _rejected(kind, message, address, inbound, _id_of(content))

    if address.name is None or address.reply_to is None:
        return rejected("unknown", f"no such command; there are {', '.join(COMMANDS)}")
    if inbound.retained:
        return rejected("retained", "it is retained and would run at every reconnect; publish without retain")
    if len(inbound.payload) > MAXIMUM_BYTES:
        return rejected("oversized", f"{len(inbound.payload)} bytes; at most {MAXIMUM_BYTES} are read")
    if address.foreign:
        return rejected(
            "foreign_response_topic",
            f"answers go below allowed prefixes only; leave it out and read {address.own}",
        )
    if broken is not None:
        return rejected("not_json", f"the payload is not strict JSON: {broken}")
    try:
        request = Request.model_validate(content)
        arguments = COMMANDS[address.name].model_validate(request.args)
    except ValidationError as error:
        return rejected("bad_arguments", _explained(error))
    if seen(request.id):
        return rejected("repeated", "this id has run already; give every command its own")
    if clock_synced is not False and request.expires <= now:
        return rejected("expired", f"expired at {request.expires.isoformat()}; send it anew")
    return Accepted(
        command=Command(id=request.id, name=address.name, arguments=arguments, expires=request.expires),
        reply_to=address.reply_to,
        correlation_data=inbound.correlation_data,
        expiry_checked=clock_synced is not False,
    )


def busy(inbound: Inbound, topics: Topics, allowed: Callable[[str], bool]) -> Rejected:
    """The answer to a message for which there is no room."""
    address = _addressed(inbound, topics, allowed)
    content, _ = _read(inbound)
    return _rejected("busy", "too many commands wait; send it again later", address, inbound, _id_of(content))


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


def _addressed(inbound: Inbound, topics: Topics, allowed: Callable[[str], bool]) -> _Address:
    prefix = topics.commands().rstrip("+")
    asked = inbound.topic.removeprefix(prefix) if inbound.topic.startswith(prefix) else None
    own = None if asked is None else topics.rsp_of(asked)
    foreign = inbound.response_topic is not None and not allowed(inbound.response_topic)
    return _Address(
        name=next((name for name in COMMANDS if name == asked), None),
        own=own,
        reply_to=own if inbound.response_topic is None or foreign else inbound.response_topic,
        foreign=foreign,
    )


def _read(inbound: Inbound) -> tuple[Any, strict_json.StrictJsonError | None]:
    if len(inbound.payload) > MAXIMUM_BYTES:
        return None, None
    try:
        return strict_json.parse(inbound.payload), None
    except strict_json.StrictJsonError as error:
        return None, error


def _rejected(kind: Kind, message: str, address: _Address, inbound: Inbound, id_: str | None) -> Rejected:
    return Rejected(
        code=CODES[kind],
        kind=kind,
        message=message,
        reply_to=address.reply_to,
        correlation_data=inbound.correlation_data,
        id=id_,
        name=address.name,
    )


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:64] for part in first["loc"]) or "the arguments"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    problem = "unknown field" if first["type"] == "extra_forbidden" else first["msg"]
    return f"{place}: {problem}{more}; see `plumbline schema command`"


def _id_of(content: Any) -> str | None:
    """The id, if one can be told, so that the answer can be matched with what was asked."""
    id_ = content.get("id") if isinstance(content, dict) else None
    return id_ if isinstance(id_, str) and 1 <= len(id_) <= 64 else None

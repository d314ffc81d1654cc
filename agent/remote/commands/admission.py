"""The rules by which a command is taken or refused, and where its answer goes.

A command is `plumbline.command/1` on `cmd/{name}`, and its answer `plumbline.response/1` goes to
the request's ResponseTopic, or to `rsp/{name}` where it has none, also for a name that no command
has; for one that cannot stand in a topic to `rsp/unknown`. Nothing here does anything: `admit` says
whether a message is a command that may run now, `agent/remote/commands/desk.py` has it done.

A command runs once for each id: one that arrives again, as the broker may send it, is answered
with 409 and not run again. It expires, so that one which waited in the broker is not run a
shift later; a station whose clock is known not to be synchronised does not look at `expires`,
because it would refuse everything, and says so in its answer.

A command may come signed, in a DSSE envelope, and must where it changes the station and somebody may sign
commands (`signing.py`). What is signed names the station and the command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from agent.contract import strict_json
from agent.contract.arguments import COMMANDS
from agent.contract.commands import (
    CODES,
    COMMAND_TYPE,
    Accepted,
    Command,
    RefusalKind,
    Rejected,
    Request,
    SignedRequest,
    response_to,
)
from agent.contract.desired import station_address
from agent.contract.inbound import Inbound
from agent.contract.payloads import encode
from agent.contract.topics import Topics
from agent.errors import PlumblineError
from agent.remote.commands.signing import Signers
from agent.trust import envelope
from agent.trust.envelope import SignatureError
from agent.uplink.mqtt.sayings import Answer

MAXIMUM_BYTES = 64 * 1024


class _Refused(Exception):
    def __init__(self, kind: RefusalKind, message: str) -> None:
        super().__init__(message)
        self.kind: RefusalKind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """Which command a message is for, and where its answer goes."""

    name: str | None
    own: str | None  # topic of answers; None: it is no command to this station
    reply_to: str | None
    foreign: bool  # it asks for an answer where none may go


def admit(
    inbound: Inbound,
    topics: Topics,
    *,
    now: datetime,
    clock_synced: bool | None,
    seen: Callable[[str], bool],
    allowed: Callable[[str], bool],
    signers: Callable[[], Signers] = Signers,
) -> Accepted | Rejected:
    """Whether this message may run now. Raises nothing but what `seen` and `allowed` raise.

    `seen` knows the ids of commands that have run, `allowed` the response topics that may be answered to,
    `signers` who may sign commands.
    """
    address = _addressed(inbound, topics, allowed)
    content, broken = _read(inbound)

    def rejected(kind: RefusalKind, message: str) -> Rejected:
        return _rejected(kind, message, address, inbound, _id_of(content, inbound.payload))

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
        request = _request(inbound.payload, content, address.name, topics, signers)
        arguments = COMMANDS[address.name].model_validate(request.args)
    except _Refused as error:
        return rejected(error.kind, str(error))
    except ValidationError as error:
        return rejected("bad_arguments", _explained(error))
    if seen(request.id):
        return rejected("repeated", "this id has run already; give every command its own")
    if clock_synced is not False and request.expires <= now:
        return rejected("expired", f"expired at {request.expires.isoformat()}; send it anew")
    return Accepted(
        command=Command(
            id=request.id,
            name=address.name,
            arguments=arguments,
            expires=request.expires,
            issuer=request.issuer if isinstance(request, SignedRequest) else None,
        ),
        reply_to=address.reply_to,
        correlation_data=inbound.correlation_data,
        expiry_checked=clock_synced is not False,
    )


def busy(inbound: Inbound, topics: Topics, allowed: Callable[[str], bool]) -> Rejected:
    """The answer to a message for which there is no room."""
    address = _addressed(inbound, topics, allowed)
    content, _ = _read(inbound)
    return _rejected(
        "busy",
        "too many commands wait; send it again later",
        address,
        inbound,
        _id_of(content, inbound.payload),
    )


def turn_away(inbound: Inbound, topics: Topics, allowed: Callable[[str], bool]) -> Answer | None:
    """The same as it is published; None where nobody can be told."""
    refused = busy(inbound, topics, allowed)
    if refused.reply_to is None:
        return None
    return Answer(
        topic=refused.reply_to,
        payload=encode(response_to(refused)),
        correlation_data=refused.correlation_data,
    )


def _request(
    data: bytes, content: Any, name: str, topics: Topics, signers: Callable[[], Signers]
) -> Request | SignedRequest:
    """Raises _Refused, or ValidationError."""
    if not _is_signed(content) and not COMMANDS[name].changes_station:
        return Request.model_validate(content)
    try:
        trusted = signers()
    except PlumblineError as error:
        raise _Refused("failed", f"who may sign commands cannot be told: {error}"[:500]) from error
    if _is_signed(content):
        return _verified(data, name, topics, trusted)
    if trusted.keys:
        raise _Refused(
            "unsigned", f"{name} changes the station, and trust.file says who may sign that; send it signed"
        )
    return Request.model_validate(content)


def _verified(data: bytes, name: str, topics: Topics, trusted: Signers) -> SignedRequest:
    """Verified, then its type is looked at, and then these very bytes are read."""
    if not trusted.keys:
        raise _Refused(
            "unsigned", "it is signed, and trust.file names no key with the role command; send it unsigned"
        )
    try:
        type_ = envelope.parse(data).payload_type
        payload = envelope.opened(data, type_, *trusted.keys, threshold=trusted.threshold)
    except SignatureError as error:
        raise _Refused("unsigned", str(error)[:500]) from error
    if type_ != COMMAND_TYPE:
        raise _Refused("wrong_type", f"its payloadType is not {COMMAND_TYPE}")
    try:
        signed = SignedRequest.model_validate(strict_json.parse(payload))
    except strict_json.StrictJsonError as error:
        raise _Refused("not_json", f"what is signed is not strict JSON: {error}") from error
    wanted = station_address(topics), name
    if (signed.address, signed.name) != wanted:
        raise _Refused(
            "not_addressed",
            f"it was signed for {signed.address[:64]!r} and {signed.name[:64]!r}, not for {wanted[0]} and "
            f"{name!r}",
        )
    return signed


def _is_signed(content: Any) -> bool:
    return isinstance(content, dict) and "payloadType" in content


def _addressed(inbound: Inbound, topics: Topics, allowed: Callable[[str], bool]) -> _Address:
    prefix = topics.commands().rstrip("+")
    asked = inbound.topic.removeprefix(prefix) if inbound.topic.startswith(prefix) else None
    own = None if asked is None else topics.rsp_of(asked)
    foreign = inbound.response_topic is not None and not allowed(inbound.response_topic)
    return _Address(
        name=asked if asked in COMMANDS else None,
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


def _rejected(
    kind: RefusalKind, message: str, address: _Address, inbound: Inbound, id_: str | None
) -> Rejected:
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


def _id_of(content: Any, data: bytes) -> str | None:
    """The id, if one can be told, so that the answer can be matched with what was asked."""
    if _is_signed(content):
        try:
            content = strict_json.parse(envelope.parse(data).payload)
        except (SignatureError, strict_json.StrictJsonError):
            return None
    id_ = content.get("id") if isinstance(content, dict) else None
    return id_ if isinstance(id_, str) and 1 <= len(id_) <= 64 else None

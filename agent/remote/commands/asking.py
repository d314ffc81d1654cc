"""To ask a station through its broker, as an MES does: one short connection, one command, one answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from paho.mqtt.reasoncodes import ReasonCode
from pydantic import ValidationError

from agent.clock import Clock, rfc3339
from agent.contract import strict_json
from agent.contract.commands import ACCEPTED, COMMAND_TYPE, Rejected, SignedRequest
from agent.contract.desired import station_address
from agent.contract.inbound import Inbound
from agent.contract.payloads import JSON
from agent.contract.strict_json import StrictJsonError
from agent.contract.topics import TOPICS, Topics
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.remote.commands.admission import admit
from agent.settings.settings import Mqtt
from agent.trust import envelope
from agent.trust.envelope import SignatureError
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.retry import next_protocol
from agent.uplink.mqtt.terms import Terms

TURN_S = 0.1
NOBODY = 0x10  # MQTT 5: no matching subscribers


class UnansweredError(PlumblineError):
    """No answer came; the text says what stands in the way."""


def request(args: Any, *, id_: str, timeout_s: float, clock: Clock) -> dict[str, Any]:
    """A command that expires when nobody waits for its answer any more."""
    return {
        "schema": "plumbline.command/1",
        "id": id_,
        "expires": rfc3339(clock.utc_now() + timedelta(seconds=timeout_s)),
        "args": args,
    }


def to_sign(
    topics: Topics, name: str, args: Any, *, issuer: str, id_: str, valid_s: float, clock: Clock
) -> bytes:
    """An envelope without signatures, for this station and command alone."""
    content = {
        **request(args, id_=id_, timeout_s=valid_s, clock=clock),
        "schema": "plumbline.signed-command/1",
        "issuer": issuer,
        "address": station_address(topics),
        "name": name,
    }
    payload = json.dumps(content, indent=1).encode()
    made = {
        "payloadType": COMMAND_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [],
    }
    return json.dumps(made, indent=1).encode()


def read_signed(data: bytes, topics: Topics) -> SignedRequest:
    """What a signed envelope asks this station for, whoever signed it. Raises UnansweredError."""
    try:
        signed = SignedRequest.model_validate(strict_json.parse(envelope.parse(data).payload))
    except (SignatureError, StrictJsonError, ValidationError) as error:
        raise UnansweredError(f"it is no signed command: {str(error).splitlines()[0]}") from error
    if signed.address != station_address(topics):
        raise UnansweredError(
            f"it was signed for {shown(signed.address)}, and these settings are of {station_address(topics)}"
        )
    return signed


def refused(topics: Topics, name: str, payload: bytes, clock: Clock) -> Rejected | None:
    """What the station would refuse of this command whatever its state is, in its own words."""
    asked = admit(
        Inbound(topic=topics.commands().removesuffix("+") + name, payload=payload, retained=False),
        topics,
        now=clock.utc_now(),
        clock_synced=True,
        seen=lambda _: False,
        allowed=lambda _: True,
    )
    return asked if isinstance(asked, Rejected) else None


def ask(
    settings: Mqtt,
    topics: Topics,
    name: str,
    payload: bytes,
    *,
    id_: str,
    timeout_s: float,
    clock: Clock,
    under_way: Callable[[dict[str, Any]], None] = lambda answer: None,
) -> dict[str, Any]:
    """The last answer of the station to a command; `under_way` is given those before it, with code 202.

    Raises UnansweredError, or what settings lack.
    """
    ends_ns = clock.monotonic_ns() + round(timeout_s * 1e9)
    protocol = next_protocol(settings.protocol, "3.1.1", "failed")
    while True:
        call = Call(settings, topics, id_=id_, ends_ns=ends_ns, clock=clock, under_way=under_way)
        connection = Connection(
            settings,
            number=1,
            protocol=protocol,
            client_id=f"plumbline-{id_[-12:]}",
            terms=Terms(will=False, fresh=True, kept=False),
            on_ack=call.note_ack,
            on_message=call.note_message,
        )
        try:
            answer = call.speak(connection, name, payload, timeout_s)
        except PlumblineError:
            raise
        except Exception as error:
            raise UnansweredError(refusals.failed(error, settings)) from error
        finally:
            connection.drop()
        if answer is not None:
            return answer
        outcome = refusals.outcome(connection, None)
        tried, protocol = protocol, next_protocol(settings.protocol, protocol, outcome)
        if connection.accepted or protocol == tried or protocol == "5":
            raise UnansweredError(refusals.ended(connection, settings, None))


class Call:
    """One connection, from CONNECT to the answer; for one thread."""

    def __init__(
        self,
        settings: Mqtt,
        topics: Topics,
        *,
        id_: str,
        ends_ns: int,
        clock: Clock,
        under_way: Callable[[dict[str, Any]], None],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._id = id_
        self._ends_ns = ends_ns
        self._clock = clock
        self._under_way = under_way
        self._acks: dict[int, ReasonCode] = {}
        self._answer: dict[str, Any] | None = None

    def note_ack(self, packet_id: int, reason: ReasonCode) -> None:
        self._acks[packet_id] = reason

    def note_message(self, inbound: Inbound) -> None:
        """Others are answered on the same topic, too."""
        try:
            said = strict_json.parse(inbound.payload)
        except StrictJsonError:
            return
        if not isinstance(said, dict) or said.get("id") != self._id or type(said.get("code")) is not int:
            return
        if said["code"] == ACCEPTED:
            self._under_way(said)
        else:
            self._answer = said

    def speak(
        self, connection: Connection, name: str, payload: bytes, timeout_s: float
    ) -> dict[str, Any] | None:
        """The answer; None where the connection ended before. Raises UnansweredError, or what ended it."""
        command, answers = self._topics.cmd(name), self._topics.rsp(name)
        late = (
            f"station {self._topics.station} did not answer within {timeout_s:g} s; see whether it runs and "
            f"is connected, as it says itself on {self._topics.status()}, and who may write {command}"
        )
        broker = f"{self._settings.host}:{self._settings.port}"
        connection.open(will_topic="", last_will=b"", will=TOPICS["status"])
        if not self._until(connection, lambda: connection.answer is not None, f"{broker}: no answer in time"):
            return None
        if not connection.accepted:
            return None
        connection.subscribe((answers,))
        if not self._until(connection, lambda: connection.subscription is not None, late):
            return None
        for granted in connection.subscription or ():
            if granted.is_failure:
                raise UnansweredError(f"{broker}: {_forbidden('read', answers, granted)}")
        said = connection.publish(
            command, payload, TOPICS["cmd"], JSON, correlation_data=self._id.encode(), response_topic=answers
        )

        def is_over() -> bool:
            taken = self._acks.get(said.mid)
            if self._answer is None and taken is not None and taken.value == NOBODY:
                raise UnansweredError(
                    f"{broker}: nobody hears {command}: there is no such station there; check identity"
                )
            if taken is not None and taken.is_failure:
                raise UnansweredError(f"{broker}: {_forbidden('write', command, taken)}")
            return self._answer is not None

        if not self._until(connection, is_over, late):
            return None
        connection.hang_up()
        return self._answer

    def _until(self, connection: Connection, holds: Callable[[], bool], late: str) -> bool:
        """Whether it holds before the connection ends. Raises UnansweredError when the time is over."""
        while not holds():
            if self._clock.monotonic_ns() >= self._ends_ns:
                raise UnansweredError(late)
            if not connection.turn(TURN_S):
                return holds()
        return True


def _forbidden(what: str, topic: str, reason: ReasonCode) -> str:
    return (
        f"we may not {what} {topic} ({reason}); give settings whose mqtt.username or mqtt.cert_file is of "
        "somebody who may, such as the MES: a station may not command itself"
    )

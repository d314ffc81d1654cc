"""What the link says for itself on one connection: status, report, and answers to commands.

A command is acknowledged when the broker has the answer that was given before, so that a broker
that minds our Receive Maximum sends no more commands than it takes answers. A few messages are on
their way at a time; the courier's window leaves them room in the broker's Receive Maximum.
"""

from __future__ import annotations

from collections import deque

import structlog
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.exception import MQTTException
from paho.mqtt.reasoncodes import ReasonCode

from agent.contract.inbound import Inbound
from agent.contract.payloads import JSON
from agent.contract.topics import TOPICS, Delivery, Topics
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.sayings import Answer, Sayings

WINDOW = 8

log = structlog.get_logger(__name__)


def herald_window(connection: Connection) -> int:
    """How many answers may be on their way."""
    return max(1, min(WINDOW, connection.receive_maximum // 4))


class Standing:
    """A retained message of which only the latest counts; for the network thread only."""

    def __init__(self, connection: Connection, topic: str, delivery: Delivery) -> None:
        self._connection = connection
        self._topic = topic
        self._delivery = delivery
        self._said: bytes | None = None
        self._receipt: MQTTMessageInfo | None = None
        self.refused: str | None = None  # why the broker has not got the latest

    @property
    def unanswered(self) -> bool:
        return _is_on_way(self._receipt)

    def note_ack(self, packet_id: int, reason: ReasonCode) -> bool:
        """Whether it was this one's."""
        if self._receipt is None or packet_id != self._receipt.mid:
            return False
        self.refused = str(reason) if reason.is_failure else None
        return True

    def say(self, payload: bytes | None) -> bool:
        """Whether the broker has the latest, or will never have it; else it is on its way."""
        if payload is None or payload == self._said or self.unanswered:
            return not self.unanswered and payload in (None, self._said)
        self._said = payload
        try:
            self._connection.check_size(self._topic, payload)
        except ValueError as error:  # sent all the same, it would end every connection
            self.refused = str(error)
            return False
        self._receipt = self._connection.publish(self._topic, payload, self._delivery, JSON)
        return False


class Herald:
    """For the network thread only."""

    def __init__(self, connection: Connection, topics: Topics, sayings: Sayings) -> None:
        self._connection = connection
        self._sayings = sayings
        self.status = Standing(connection, topics.status(), TOPICS["status"])
        self.report = Standing(connection, topics.reported(), TOPICS["reported"])
        self._on_way: deque[MQTTMessageInfo | Inbound] = deque()
        self.metrics_fit = True

    def say_metrics(self, topic: str, payload: bytes) -> None:
        """From any thread; what the broker would not take is not sent, and is a lack of it."""
        try:
            self._connection.check_size(topic, payload)
        except ValueError:  # its words tell a size that is another one each time
            self.metrics_fit = False
        else:
            self.metrics_fit = True
            self._connection.publish(topic, payload, TOPICS["metrics"], JSON)

    def note_ack(self, packet_id: int, reason: ReasonCode) -> None:
        """The broker's answer to any message of the connection."""
        if self.status.note_ack(packet_id, reason) or self.report.note_ack(packet_id, reason):
            return
        if reason.is_failure and any(
            isinstance(one, MQTTMessageInfo) and one.mid == packet_id for one in self._on_way
        ):
            log.warning("response_refused", reason=str(reason))
            self._sayings.lose()

    def say(self, status: bytes | None, report: bytes | None = None, *, leaving: bool = False) -> bool:
        """Whether the broker has the latest `status` and `report` and all of the sayings; else more is on
        its way.

        When `leaving` the status goes last: with its acknowledgement the broker has read all before it.
        """
        self._land()
        while self._responses_on_way() < herald_window(self._connection) and (one := self._sayings.next()):
            if isinstance(one, Answer):
                self._respond(one)
            else:
                self._on_way.append(one)
        self._land()
        told = self.report.say(report) and not (self._on_way or self._sayings.waiting())
        if leaving and not told:
            return False
        return self.status.say(status) and told

    def _land(self) -> None:
        while self._on_way:
            first = self._on_way[0]
            if isinstance(first, Inbound):
                self._connection.acknowledge(first)
            elif _is_on_way(first):
                return
            self._on_way.popleft()

    def _responses_on_way(self) -> int:
        return sum(isinstance(one, MQTTMessageInfo) for one in self._on_way)

    def _respond(self, answer: Answer) -> None:
        """Its topic comes from outside: an answer that cannot be sent must not cost the connection."""
        try:
            self._connection.check_size(answer.topic, answer.payload, answer.correlation_data)
            receipt = self._connection.publish(
                answer.topic,
                answer.payload,
                TOPICS["rsp"],
                JSON,
                correlation_data=answer.correlation_data,
            )
        except (ValueError, MQTTException) as error:
            log.warning("response_dropped", topic=answer.topic, reason=str(error))
            self._sayings.lose()
        else:
            self._on_way.append(receipt)


def _is_on_way(receipt: MQTTMessageInfo | None) -> bool:
    return receipt is not None and not receipt.is_published()

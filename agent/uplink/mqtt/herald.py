"""What the link says for itself on one connection: the status, and answers to commands.

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
from agent.contract.topics import TOPICS
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.sayings import Answer, Sayings

WINDOW = 8

log = structlog.get_logger(__name__)


def herald_window(connection: Connection) -> int:
    """How many answers may be on their way."""
    return max(1, min(WINDOW, connection.receive_maximum // 4))


class Herald:
    """For the network thread only."""

    def __init__(self, connection: Connection, status_topic: str, sayings: Sayings) -> None:
        self._connection = connection
        self._sayings = sayings
        self._status_topic = status_topic
        self._said: bytes | None = None
        self._status_receipt: MQTTMessageInfo | None = None
        self._on_way: deque[MQTTMessageInfo | Inbound] = deque()
        self._refused: str | None = None
        self.metrics_fit = True

    @property
    def status_unanswered(self) -> bool:
        return _is_on_way(self._status_receipt)

    @property
    def status_refused(self) -> str | None:
        """Why the broker has not got the latest status."""
        return self._refused

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
        if self._status_receipt is not None and packet_id == self._status_receipt.mid:
            self._refused = str(reason) if reason.is_failure else None
        elif reason.is_failure and any(
            isinstance(one, MQTTMessageInfo) and one.mid == packet_id for one in self._on_way
        ):
            log.warning("response_refused", reason=str(reason))
            self._sayings.lose()

    def say(self, status: bytes | None, *, leaving: bool = False) -> bool:
        """Whether the broker has the latest `status` and all of the sayings; else more is on its way.

        When `leaving` the status goes last: with its acknowledgement the broker has read all before it.
        """
        self._land()
        while self._responses_on_way() < herald_window(self._connection) and (one := self._sayings.next()):
            if isinstance(one, Answer):
                self._respond(one)
            else:
                self._on_way.append(one)
        self._land()
        waits = bool(self._on_way) or self._sayings.waiting()
        held_back = self.status_unanswered or (leaving and waits)
        if status is not None and status != self._said and not held_back:
            self._say_status(status)
            return False
        return not (self.status_unanswered or waits)

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

    def _say_status(self, status: bytes) -> None:
        self._said = status
        try:
            self._connection.check_size(self._status_topic, status)
        except ValueError as error:  # sent all the same, it would end every connection
            self._refused = str(error)
            return
        self._status_receipt = self._connection.publish(self._status_topic, status, TOPICS["status"], JSON)

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

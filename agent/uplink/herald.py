"""What the link says for itself on one connection: the status and responses to commands.

One message at a time, so that the courier's window leaves it room in the broker's Receive Maximum.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import structlog
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.exception import MQTTException

from agent.uplink.connection import Connection
from agent.uplink.payloads import JSON
from agent.uplink.topics import TOPICS

FRAMING_BYTES = 64  # of a PUBLISH packet without user properties, a few too many

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer to a command, on the topic that was asked for."""

    topic: str
    payload: bytes
    correlation_data: bytes | None


class Herald:
    """For the network thread only."""

    def __init__(self, connection: Connection, status_topic: str) -> None:
        self._connection = connection
        self._status_topic = status_topic
        self._said: bytes | None = None
        self._receipt: MQTTMessageInfo | None = None

    def say(self, status: bytes | None, responses: deque[Response]) -> bool:
        """Whether the broker has the latest `status` and all `responses`; else one more is on its way."""
        if self._receipt is not None and not self._receipt.is_published():
            return False
        if status is not None and status != self._said:
            self._said = status
            self._receipt = self._connection.publish(self._status_topic, status, TOPICS["status"], JSON)
            return False
        if responses:
            self._respond(responses.popleft())
            return False
        return True

    def _respond(self, response: Response) -> None:
        """Its topic comes from outside: a response that cannot be sent must not cost the connection."""
        size = FRAMING_BYTES + len(response.topic.encode(errors="replace")) + len(response.payload)
        size += len(response.correlation_data or b"")
        limit = self._connection.maximum_packet_bytes
        try:
            if limit is not None and size > limit:
                raise ValueError(f"its packet of {size} bytes is over the broker's limit of {limit}")
            self._receipt = self._connection.publish(
                response.topic,
                response.payload,
                TOPICS["rsp"],
                JSON,
                correlation_data=response.correlation_data,
            )
        except (ValueError, MQTTException) as error:
            log.warning("response_dropped", topic=response.topic, reason=str(error))

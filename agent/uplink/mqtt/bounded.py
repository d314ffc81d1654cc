"""A paho client that never holds a packet larger than we announced.

Paho takes the length that a packet's header tells for granted and gathers its whole body before
anybody is asked; MQTT 3.1.1 has no way to announce a limit, and a broker may break its word. Paho
reads headers byte by byte and asks its socket for all that is missing of a body: the first such
request tells the size while nothing of the body is in memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

from agent.errors import PlumblineError

HEADER_BYTES = 4  # of a packet of tens or hundreds of kilobytes: its kind, and its length in three
_PUBLISH = 0x30


class OversizedError(PlumblineError):
    """The broker began to send a packet over our limit; the connection cannot go on.

    `kept`: the broker has it in our session and will send it again.
    """

    def __init__(self, size_bytes: int, largest_bytes: int, *, kept: bool) -> None:
        super().__init__(f"a packet of {size_bytes} bytes; at most {largest_bytes} are taken")
        self.size_bytes = size_bytes
        self.kept = kept


class BoundedClient(paho.Client):
    """Raises OversizedError out of `loop`, and ValueError for a message of QoS 2, which nobody asks for."""

    def __init__(self, *arguments: Any, largest_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._largest_bytes = largest_bytes

    def bound_in_flight(self, messages: int) -> None:
        """Keep messages back until earlier ones are acknowledged; paho itself refuses this once connected."""
        self._max_inflight_messages = messages

    def wake(self) -> None:
        """Make `loop` of another thread return soon."""
        waker = self._sockpairW
        if waker is not None:
            with suppress(OSError):  # full, so that it is awake already; or closed, so that nobody sleeps
                waker.send(b"0")

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > self._largest_bytes - HEADER_BYTES:
            command = int(self._in_packet["command"])
            kept = command & 0xF0 == _PUBLISH and _qos(command) > 0
            raise OversizedError(bufsize + HEADER_BYTES, self._largest_bytes, kept=kept)
        return super()._sock_recv(bufsize)

    def _handle_publish(self) -> MQTTErrorCode:
        # Paho would keep every one in memory until the broker releases it, which it need never do.
        qos = _qos(int(self._in_packet["command"]))
        if qos > 1:
            raise ValueError(f"a message of QoS {qos}, which was not asked for")
        return super()._handle_publish()


def _qos(command: int) -> int:
    return (command & 0x06) >> 1

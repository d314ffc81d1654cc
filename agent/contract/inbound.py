"""A message from the broker to us, as plain data, and where it waits to be taken."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

WAITING = 512
WAITING_BYTES = 4 * 1024 * 1024
_OVERHEAD_BYTES = 512  # of a message, beside what it carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What arrived on a topic that we subscribe to; `token` acknowledges it (MqttLink.acknowledge)."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None  # MQTT 5
    correlation_data: bytes | None = None  # MQTT 5
    token: int = 0
    arrived_ns: int = 0  # monotonic clock


class Inbox:
    """What waits to be taken, bounded in number and bytes; safe from any thread."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Inbound] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        self._bytes = 0

    def offer(self, inbound: Inbound) -> bool:
        """Whether there was room for it."""
        size = _size_bytes(inbound)
        with self._lock:
            if self._count >= WAITING or self._bytes + size > WAITING_BYTES:
                return False
            self._count += 1
            self._bytes += size
        self._waiting.put(inbound)
        return True

    def get(self, *, timeout: float) -> Inbound:
        """The oldest; raises queue.Empty when none comes within `timeout` seconds."""
        inbound = self._waiting.get(timeout=timeout)
        with self._lock:
            self._count -= 1
            self._bytes -= _size_bytes(inbound)
        return inbound

    def qsize(self) -> int:
        return self._count

    def empty(self) -> bool:
        return not self._count


def _size_bytes(inbound: Inbound) -> int:
    texts = len(inbound.topic) + len(inbound.response_topic or "")
    return _OVERHEAD_BYTES + len(inbound.payload) + len(inbound.correlation_data or b"") + 4 * texts

"""A message from the broker to us, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What arrived on a topic that we subscribe to; `token` acknowledges it (MqttLink.acknowledge)."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None  # MQTT 5
    correlation_data: bytes | None = None  # MQTT 5
    token: int = 0

"""What others may know of the link to the broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.uplink.mqtt.retry import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How it stands with the broker; `since` is when that began.

    `duplicate_client_id` holds from the moment another client is known to have our id until a
    connection has lasted for a minute. `lacks` is what this broker, or the last one, does not do for
    us, and `oversized` that it sent too large a packet in the last minutes, in words for people.
    """

    connected: bool
    protocol: Protocol | None
    reason: str
    since: datetime
    connects: int
    hears: bool = False  # commands: the broker has answered whether it sends them
    duplicate_client_id: bool = False
    lacks: tuple[str, ...] = ()
    oversized: str | None = None

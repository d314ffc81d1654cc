"""A broker is tried before anything depends on it: over a second connection, under another client id."""

from __future__ import annotations

import time

from agent.contract.topics import TOPICS
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.forgetting import forget_session
from agent.uplink.mqtt.retry import Protocol, next_protocol
from agent.uplink.mqtt.terms import Terms

LOGIN_S, TURN_S = 5.0, 0.1


def tried(mqtt: Mqtt, client_id: str) -> tuple[Protocol, str | None]:
    """The protocol that was spoken last, and why it did not let us in; None where it did.

    Nothing is left behind there: no session, no will, no subscription. A broker that gives its own names to
    clients takes this for the station itself: it ends the station's connection, which is soon made again,
    and what waits in its session goes on waiting.
    """
    protocol: Protocol = next_protocol(mqtt.protocol, "3.1.1", "failed")
    reason: str | None = None
    for _ in range(2):
        connection = Connection(
            mqtt,
            number=1,
            protocol=protocol,
            client_id=client_id,
            terms=Terms(will=False),
            on_ack=lambda *_: None,
            on_message=lambda _: None,
        )
        reason = _spoken(connection, mqtt, client_id)
        other = next_protocol(mqtt.protocol, protocol, refusals.outcome(connection, None))
        if reason is None or other == protocol or other == "5":
            break
        protocol = other
    return protocol, reason


def _spoken(connection: Connection, mqtt: Mqtt, client_id: str) -> str | None:
    """Why it did not let us in; None where it did."""
    until = time.monotonic() + LOGIN_S
    try:
        connection.open(will_topic="", last_will=b"", will=TOPICS["status"])
        while connection.answer is None and time.monotonic() < until:
            if not connection.turn(TURN_S):
                break
        if connection.accepted:
            is_ours = not connection.resumed  # a name that was never used has none: that one is the station's
            connection.hang_up(forget=is_ours)
            if is_ours and connection.protocol == "3.1.1":
                forget_session(mqtt, client_id, lambda: time.monotonic() < until, TURN_S)
            return None
        if connection.answer is None and time.monotonic() >= until:
            return refusals.failed(TimeoutError(), mqtt)
        return refusals.ended(connection, mqtt, None)
    except Exception as error:  # paho raises what it likes of a packet that is none
        return refusals.failed(error, mqtt)
    finally:
        connection.drop()

"""A broker is tried before anything depends on it: over a second connection, under another client id.

Where it may be the broker that the station is connected to, by the same login, it is reached and no more: one
that makes the client id of the login (`use_username_as_clientid`) would take the second connection for the
first, end that, and throw away what waits for it. The probation then tells whether it lets us in.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from agent.contract.topics import TOPICS
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.certificates import tls_context
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.retry import Protocol, next_protocol
from agent.uplink.mqtt.terms import Terms

LOGIN_S, TURN_S = 5.0, 0.1


def tried(mqtt: Mqtt, client_id: str) -> tuple[Protocol, str | None]:
    """The protocol that was spoken last, and why it did not let us in; None where it did.

    Nothing is left behind there: no session, no will, no subscription.
    """
    protocol: Protocol = next_protocol(mqtt.protocol, "3.1.1", "failed")
    reason: str | None = None
    for _ in range(2):
        connection = Connection(
            mqtt,
            number=1,
            protocol=protocol,
            client_id=client_id,
            terms=Terms(will=False, fresh=True, kept=False),
            on_ack=lambda *_: None,
            on_message=lambda _: None,
        )
        reason = _spoken(connection, mqtt)
        other = next_protocol(mqtt.protocol, protocol, refusals.outcome(connection, None))
        if reason is None or other == protocol or other == "5":
            break
        protocol = other
    return protocol, reason


def reached(mqtt: Mqtt) -> str | None:
    """Why there is no connection, with TLS where that is set; None where there is one. Nothing is sent."""
    try:
        with socket.create_connection((mqtt.host, mqtt.port), LOGIN_S) as plain:
            if mqtt.tls:
                tls_context(mqtt).wrap_socket(plain, server_hostname=mqtt.host).close()
    except Exception as error:
        return refusals.failed(error, mqtt)
    return None


def may_be_ourselves(before: Mqtt, wanted: Mqtt) -> bool:
    """Whether to log in there may end the connection of the station that runs."""
    if (wanted.username, wanted.cert_file) == (None, None):
        return False
    is_same_login = (wanted.username, wanted.cert_file) == (before.username, before.cert_file)
    return is_same_login and bool(_addresses(before) & _addresses(wanted))


def _addresses(mqtt: Mqtt) -> set[str]:
    with suppress(OSError, UnicodeError):
        return {str(one[4][0]) for one in socket.getaddrinfo(mqtt.host, None)}
    return {mqtt.host}


def _spoken(connection: Connection, mqtt: Mqtt) -> str | None:
    """Why it did not let us in; None where it did."""
    until = time.monotonic() + LOGIN_S
    try:
        connection.open(will_topic="", last_will=b"", will=TOPICS["status"])
        while connection.answer is None and time.monotonic() < until:
            if not connection.turn(TURN_S):
                break
        if connection.accepted:
            connection.hang_up()
            return None
        if connection.answer is None and time.monotonic() >= until:
            return refusals.failed(TimeoutError(), mqtt)
        return refusals.ended(connection, mqtt, None)
    except Exception as error:  # paho raises what it likes of a packet that is none
        return refusals.failed(error, mqtt)
    finally:
        connection.drop()

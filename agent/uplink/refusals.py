"""Why there is no connection to the broker, in words that say what to do about it."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

from agent.settings import Mqtt

NOT_AUTHORIZED = "Not authorized"
BAD_CREDENTIALS = "Bad user name or password"
UNSUPPORTED_PROTOCOL = "Unsupported protocol version"
TAKEN_OVER = "Session taken over"


def failed(error: Exception, settings: Mqtt) -> str:
    """Why the connection ended with `error`."""
    broker = f"{settings.host}:{settings.port}"
    match error:
        case socket.gaierror():
            return f"{settings.host}: the name does not resolve ({error.strerror}); check mqtt.host and DNS"
        case ssl.SSLCertVerificationError():
            return f"{broker}: its certificate is not trusted ({error.verify_message}); check mqtt.ca_file"
        case ssl.SSLError():
            return f"{broker}: no TLS there ({error.reason}); check mqtt.port, mqtt.tls and mqtt.ca_file"
        case ConnectionRefusedError():
            return f"{broker}: connection refused; check mqtt.port and that the broker runs"
        case TimeoutError():
            return f"{broker}: no answer in time; check mqtt.host, mqtt.port, cable and firewall"
        case OSError(filename=str() as file):
            return f"{file}: {error.strerror}; check mqtt.password_file and mqtt.ca_file"
        case OSError():
            return f"{broker}: {error}; check mqtt.host, mqtt.port and the network"
        case _:
            return f"{broker}: no sense in what it sends ({error!r}); check that this is an MQTT broker"


def is_unsupported(reason: ReasonCode) -> bool:
    """Whether the broker does not speak this version of MQTT."""
    return str(reason) == UNSUPPORTED_PROTOCOL


def refused(reason: ReasonCode, settings: Mqtt) -> str:
    """Why the broker answered CONNECT with a failure."""
    remedy = "see the broker's log"
    if str(reason) in (NOT_AUTHORIZED, BAD_CREDENTIALS):
        remedy = "check mqtt.username and mqtt.password_file"
    elif is_unsupported(reason):
        remedy = "set mqtt.protocol to auto"
    return f"{settings.host}:{settings.port}: the broker refused us ({reason}); {remedy}"


def lost(reason: ReasonCode | None, settings: Mqtt, client_id: str) -> str:
    """Why a connection ended that had been accepted."""
    if str(reason) == TAKEN_OVER:
        return f"another client connected as {client_id!r}; give every agent its own identity.station"
    return f"{settings.host}:{settings.port}: connection lost ({reason}); it is tried again"


def hung_up(settings: Mqtt) -> str:
    """The broker closed the connection without any answer to CONNECT."""
    return (
        f"{settings.host}:{settings.port}: closed without an answer; "
        "check mqtt.port, mqtt.tls, mqtt.protocol and that this is an MQTT broker"
    )

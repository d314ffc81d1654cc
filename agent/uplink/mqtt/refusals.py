"""Why there is no connection to the broker, in words that say what to do about it."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

from agent.contract.topics import Topics
from agent.errors import PlumblineError, out_of_room
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.bounded import OversizedError
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.retry import Outcome
from agent.uplink.mqtt.terms import NO_QOS, NO_RETAIN

NOT_AUTHORIZED = "Not authorized"
BAD_CREDENTIALS = "Bad user name or password"
UNSUPPORTED_PROTOCOL = "Unsupported protocol version"
TAKEN_OVER = "Session taken over"

# What is wrong with the broker's certificate, by OpenSSL's X509_V_ERR_* numbers.
_UNTRUSTED: dict[int, str] = {
    9: "its certificate is not valid yet; set this machine's clock, or the broker's certificate is wrong",
    10: "its certificate has expired; have it renewed on the broker, or set this machine's clock",
    18: "its certificate is not trusted: it is self-signed; set mqtt.ca_file to it or to the plant's CA",
    19: "its certificate is not trusted: it comes from another CA; set mqtt.ca_file to that CA",
    20: "its certificate is not trusted: it comes from another CA; set mqtt.ca_file to that CA",
    21: "its certificate is not trusted: it comes from another CA; set mqtt.ca_file to that CA",
    62: "its certificate is for another name; set mqtt.host to a name that stands in it",
    64: "its certificate is for another address; set mqtt.host to a name or address that stands in it",
}

# What a broker has against our certificate, by parts of OpenSSL's names of TLS alerts.
_ALERTS: dict[str, str] = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours; set mqtt.cert_file and mqtt.key_file",
    "HANDSHAKE_FAILURE": "it wants a certificate of ours; set mqtt.cert_file and mqtt.key_file",
    "UNKNOWN_CA": "it does not know the CA of mqtt.cert_file; have ours issued by the CA in its cafile",
    "CERTIFICATE_EXPIRED": "mqtt.cert_file is not valid by its clock; have ours renewed, or set its clock",
    "CERTIFICATE_REVOKED": "mqtt.cert_file was revoked; have a new one issued",
    "CERTIFICATE": "it does not take mqtt.cert_file; have one issued for clients; see the broker's log",
    "PROTOCOL_VERSION": "it speaks no TLS 1.2 or newer; update the broker",
}


def failed(error: Exception, settings: Mqtt, doubt: str | None = None) -> str:
    """Why the connection ended with `error`; `doubt` is what we see wrong with our own certificate."""
    broker = _broker(settings)
    match error:
        case PlumblineError():
            return str(error)
        case socket.gaierror():
            return f"{settings.host}: the name does not resolve ({error.strerror}); check mqtt.host and DNS"
        case ssl.SSLCertVerificationError():
            words = _UNTRUSTED.get(error.verify_code, "its certificate is not trusted; check mqtt.ca_file")
            return f"{broker}: {words} ({error.verify_message})"
        case ssl.SSLError(reason=str() as reason) if "ALERT" in reason:
            return alerted(reason, settings, doubt)
        case ssl.SSLError():
            return f"{broker}: no TLS there ({error.reason}); check mqtt.port, mqtt.tls and mqtt.ca_file"
        case ConnectionResetError() if settings.tls:
            return f"{broker}: no TLS there ({error.strerror}); check mqtt.port and mqtt.tls"
        case ConnectionRefusedError():
            return f"{broker}: connection refused; check mqtt.port and that the broker runs"
        case TimeoutError():
            return f"{broker}: no answer in time; check mqtt.host, mqtt.port, cable and firewall"
        case OSError() if (end := out_of_room(error)) is not None:
            return f"{broker}: {end}"
        case OSError():
            return f"{broker}: {error}; check mqtt.host, mqtt.port and the network"
        case _:
            return f"{broker}: no sense in what it sends ({error!r}); check that this is an MQTT broker"


def alerted(alert: str, settings: Mqtt, doubt: str | None) -> str:
    """Why the broker ended the connection with a TLS alert."""
    words = next((words for part, words in _ALERTS.items() if part in alert), "see the broker's log")
    return f"{_broker(settings)}: the broker refused us: {doubt or words} ({alert})"


def outcome(connection: Connection, error: Exception | None) -> Outcome:
    """How far a connection came; `error` is what ended it, if anything was raised."""
    answer = connection.answer
    if connection.accepted and (error is None or isinstance(error, OversizedError)):
        return "accepted"
    if error is not None:
        return "failed"
    if answer is None:
        return "failed" if connection.alert is not None else "hung_up"
    return "unsupported" if str(answer) == UNSUPPORTED_PROTOCOL else "failed"


def ended(connection: Connection, settings: Mqtt, doubt: str | None) -> str:
    """Why a connection ended without an error of ours."""
    answer = connection.answer
    if connection.accepted:
        return f"{_broker(settings)}: connection lost ({connection.farewell}); it is tried again"
    if answer is None and connection.alert is not None:
        return alerted(connection.alert, settings, doubt)
    if answer is None:
        return _hung_up(settings, doubt)
    if str(answer) == UNSUPPORTED_PROTOCOL:
        return _refused(answer, settings, "set mqtt.protocol to auto")
    if str(answer) in (NOT_AUTHORIZED, BAD_CREDENTIALS):
        return _refused(answer, settings, doubt or "check mqtt.username and mqtt.password_file")
    if answer.value == NO_RETAIN:
        return _refused(answer, settings, "it is tried again without")
    if answer.value == NO_QOS:
        return _refused(answer, settings, "it is tried again with QoS 0")
    return _refused(answer, settings, "see the broker's log")


def oversized(error: OversizedError, settings: Mqtt) -> str:
    """Why we ended the connection."""
    lost = ", and with it the commands that waited in our session there" if error.kept else ""
    return (
        f"{_broker(settings)}: it began to send {error}; the connection was ended before that was read"
        f"{lost}; see who publishes below this station's cmd/"
    )


def is_taken_over(connection: Connection) -> bool:
    """Whether the broker said that another client came with our id."""
    return str(connection.farewell) == TAKEN_OVER


def rivalled(connection: Connection, settings: Mqtt, client_id: str) -> str:
    """Why an accepted connection ended when another client has our id, or by the look of it."""
    seen = (
        f"another client connected as {client_id!r}"
        if is_taken_over(connection)
        else f"the broker keeps ending connections for no reason; another client seems to be {client_id!r}"
    )
    return f"{_broker(settings)}: {seen}; give every agent its own identity.station"


def unsubscribed(what: str, topic_filters: str, reason: ReasonCode) -> str:
    """The broker accepted us and does not let us hear all that is for us."""
    return f"it lets us receive no {what} ({reason}); allow this station to read {topic_filters} there"


def deaf(again_after_s: float) -> str:
    """Hearing commands has cost connections."""
    return (
        "no commands are received: connections ended over what came in for this station; "
        f"they are asked for again after {again_after_s:.0f} s; see who publishes below its cmd/"
    )


def lacking(connection: Connection, topics: Topics) -> tuple[str, ...]:
    """What the broker of an accepted connection does not do for us, one sentence each."""
    lacks, status_topic = [], topics.status()
    if not connection.terms.will:
        lacks.append(
            "it does not take the last will, so that nobody is told when this station vanishes; "
            f"allow this station to write {status_topic} there"
        )
    if not connection.terms.status:
        lacks.append(
            "it ends connections over the status, which is not said; "
            f"allow this station to write {status_topic} there"
        )
    elif not connection.retains:
        lacks.append(
            "it keeps no retained messages, so that status and last will reach only those who are "
            "subscribed at that moment; set retain_available true there"
        )
    if not connection.terms.report:
        lacks.append(
            "it ends connections over the report of settings and bundle, which is not said; "
            f"allow this station to write {topics.reported()} there"
        )
    if not connection.qos:
        lacks.append(
            "it takes messages of QoS 0 only, so that it can refuse none and commands may be lost on the "
            "way; allow QoS 1 there"
        )
    if not connection.sessions:
        lacks.append("it keeps no session, so that commands that are sent while we are away are lost")
    return tuple(lacks)


def metrics_too_large(connection: Connection) -> str:
    """Sent all the same, they would end the connection."""
    return (
        f"it takes {connection.maximum_packet_bytes} bytes in a message, and the metrics have more: they are"
        " not sent; raise its limit, or read /metrics"
    )


def untaken(what: str, reason: str, topic: str) -> str:
    """The broker accepted us and has not got our status or report."""
    return f"it does not take the {what} ({reason}); allow this station to write {topic} there"


def _refused(answer: ReasonCode, settings: Mqtt, remedy: str) -> str:
    return f"{_broker(settings)}: the broker refused us ({answer}); {remedy}"


def _hung_up(settings: Mqtt, doubt: str | None) -> str:
    """The broker closed the connection without any answer to CONNECT; TLS had been set up."""
    closed = f"{_broker(settings)}: closed without an answer"
    if settings.tls:
        if doubt is not None:
            return f"{closed}: {doubt}"
        if settings.cert_file is None:
            return f"{closed}; it may want a certificate of ours: set mqtt.cert_file and mqtt.key_file"
        return f"{closed}; it may not know the CA of mqtt.cert_file: have ours issued by the CA in its cafile"
    return f"{closed}; check mqtt.port, mqtt.tls, mqtt.protocol and that this is an MQTT broker"


def _broker(settings: Mqtt) -> str:
    return f"{settings.host}:{settings.port}"

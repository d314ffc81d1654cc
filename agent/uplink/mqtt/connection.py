"""One connection to an MQTT broker: a paho client that lives from one CONNECT to its end.

Because no client outlives its connection, paho never retransmits anything: the outbox owns
that. Paho holds its locks while it runs callbacks, so they only note what happened; what a
callback raises ends the connection like a packet that cannot be parsed.

A broker that takes no QoS 1 acknowledges no message. There a row is followed by an UNSUBSCRIBE
from nothing, and counts as taken when that is answered: a broker answers in the order of what it
reads.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.contract.desired import MAX_DOCUMENT_BYTES
from agent.contract.inbound import Inbound
from agent.contract.payloads import JSON
from agent.contract.topics import TOPICS, Delivery
from agent.settings.credentials import read_secret
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.bounded import BoundedClient
from agent.uplink.mqtt.certificates import tls_context
from agent.uplink.mqtt.publish_properties import PublishProperties
from agent.uplink.mqtt.retry import Protocol
from agent.uplink.mqtt.terms import Terms

SESSION_EXPIRY_S = 3600
WILL_DELAY_S = 5
CONNECT_TIMEOUT_S = 5.0
INBOUND_BYTES = 2 * MAX_DOCUMENT_BYTES  # the largest packet that we take: a document too large is answered
INBOUND_UNACKNOWLEDGED = 16  # how many messages we take before we acknowledge one
PACKET_ID_BITS = 16
FEW_IN_FLIGHT = 64  # paho is slow with many, so that it counts them only for a broker that takes few
FRAMING_BYTES = 64  # of a PUBLISH packet without user properties, a few too many
BARRIER = "plumbline/nothing"  # nobody is subscribed to it

# paho asks after a silence of its keepalive and waits for the answer as long again.
NOTICED_AFTER = 2
NOTICED_WITHIN = 1.5  # keepalives of the settings


class Connection:
    """`open` and `turn` are for one thread; `publish` and `acknowledge` for any, but not from `on_ack`."""

    def __init__(
        self,
        settings: Mqtt,
        *,
        number: int,
        protocol: Protocol,
        client_id: str,
        terms: Terms,
        on_ack: Callable[[int, ReasonCode], None],
        on_message: Callable[[Inbound], None],
    ) -> None:
        """`number` tells this connection from every other of the process; tokens of messages bear it."""
        self.protocol = protocol
        self.answer: ReasonCode | None = None  # to CONNECT
        self.subscription: tuple[ReasonCode, ...] | None = None  # the answer to the last SUBSCRIBE
        self.farewell: ReasonCode | None = None  # why it ended
        self.dismissed = False  # the broker said so itself
        self.receive_maximum = 65_535
        self.maximum_packet_bytes: int | None = None
        self.retains, self.qos = terms.retain, terms.qos  # and no more than CONNACK allows
        self.wildcards = True  # as filters of subscriptions
        self.sessions = True  # outlive a connection
        self.resumed = False  # the broker had this session already
        self.terms = terms
        self._socket: object = None
        self._settings = settings
        self._number = number
        self._on_ack = on_ack
        self._on_message = on_message
        v5 = protocol == "5"
        self._client = BoundedClient(
            CallbackAPIVersion.VERSION2,
            largest_bytes=INBOUND_BYTES,
            client_id=client_id,
            clean_session=None if v5 else terms.fresh,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )

    @property
    def accepted(self) -> bool:
        return self.answer is not None and not self.answer.is_failure

    @property
    def alert(self) -> str | None:
        """The TLS alert with which the broker ended the connection, in OpenSSL's words."""
        return getattr(self._socket, "alert", None)

    def open(self, *, will_topic: str, last_will: bytes, will: Delivery) -> None:
        """Reach the broker and send CONNECT. Raises OSError, ValueError or PlumblineError."""
        client, settings, terms = self._client, self._settings, self.terms
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the window is the courier's
        client.on_socket_open = self._opened
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_unsubscribe = self._passed
        client.on_subscribe = self._subscribed
        client.on_message = self._arrived
        # With this set, publish() leaves writing to the loop instead of writing from its own thread.
        client.on_socket_register_write = _nothing
        if settings.username is not None:
            client.username_pw_set(settings.username, _password(settings))
        if settings.tls:
            client.tls_set_context(tls_context(settings))
        keepalive_s = int(settings.keepalive_s * NOTICED_WITHIN / NOTICED_AFTER)
        if self.protocol == "5":
            properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
            properties.ContentType = JSON
            properties.WillDelayInterval = WILL_DELAY_S
            if terms.will:
                client.will_set(
                    will_topic, last_will, min(will.qos, terms.qos), will.retain and terms.retain, properties
                )
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            session.SessionExpiryInterval = SESSION_EXPIRY_S if terms.kept else 0
            session.ReceiveMaximum = INBOUND_UNACKNOWLEDGED
            session.MaximumPacketSize = INBOUND_BYTES
            client.connect(
                settings.host, settings.port, keepalive_s, clean_start=terms.fresh, properties=session
            )
        else:
            if terms.will:
                client.will_set(will_topic, last_will, min(will.qos, terms.qos), will.retain and terms.retain)
            client.connect(settings.host, settings.port, keepalive_s)

    def turn(self, timeout_s: float) -> bool:
        """Let paho read and write for at most `timeout_s`; False when the connection has ended.

        Raises anything for a packet that cannot be parsed, and what a callback raises.
        """
        return self._client.loop(timeout_s) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def hang_up(self, *, forget: bool = False) -> None:
        """Send DISCONNECT, upon which the broker drops the last will, and give it two seconds to leave.

        Whether it is to `forget` the session: only MQTT 5 can say that now.
        """
        properties = None
        if forget and self.protocol == "5":
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        for _ in range(8):
            if not self.turn(0.25):
                return

    def drop(self) -> None:
        """Close what is still open, without a word to the broker or from it.

        But for the pair of sockets by which paho wakes its loop: the courier may be publishing into it.
        """
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = None
        client.on_subscribe = client.on_unsubscribe = client.on_message = client.on_socket_open = None
        self._on_ack = self._on_message = _nothing  # so that it goes when nobody has it, paho's pair with it
        still_open = client.socket()
        if still_open is not None:
            still_open.close()

    def subscribe(self, filters: Sequence[str]) -> None:
        """Ask for messages; `subscription` is the answer, when it comes.

        MQTT 5 keeps the retain flag on what was published with it, and sends what is retained
        once for each session; 3.1.1 sends it upon every SUBSCRIBE, and takes the flag off the rest.
        """
        self.subscription = None
        qos: int = TOPICS["cmd"].qos
        if self.protocol == "5":
            options = SubscribeOptions(
                qos, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            )
            self._client.subscribe([(one, options) for one in filters])
        else:
            self._client.subscribe([(one, qos) for one in filters])

    def wake(self) -> None:
        """Make `turn` return soon."""
        self._client.wake()

    def acknowledge(self, inbound: Inbound) -> None:
        """The broker need not send `inbound` again, if it came on this connection."""
        number, packet_id = divmod(inbound.token, 1 << PACKET_ID_BITS)
        if number == self._number and packet_id:  # a message of QoS 0 has none
            self._client.ack(packet_id, qos=1)

    def publish(
        self,
        topic: str,
        payload: bytes,
        delivery: Delivery,
        content_type: str,
        properties: Sequence[tuple[str, str]] = (),
        correlation_data: bytes | None = None,
        response_topic: str | None = None,
    ) -> paho.MQTTMessageInfo:
        """Hand over one message; MQTT 3.1.1 leaves out all that comes after `delivery`.

        Raises ValueError or MQTTException when it cannot be encoded.
        """
        qos, retain = min(delivery.qos, self.qos), delivery.retain and self.retains
        v5 = None
        if self.protocol == "5":
            v5 = PublishProperties(content_type, properties, correlation_data, response_topic)
        return self._client.publish(topic, payload, qos, retain, properties=v5)

    def check_size(self, topic: str, payload: bytes, correlation_data: bytes | None = None) -> None:
        """Raises ValueError for more than the broker takes, which would end the connection."""
        size = FRAMING_BYTES + len(topic.encode(errors="replace")) + len(payload)
        size += len(correlation_data or b"")
        limit = self.maximum_packet_bytes
        if limit is not None and size > limit:
            raise ValueError(f"its packet of {size} bytes is over the broker's limit of {limit}")

    def carry(
        self,
        topic: str,
        payload: bytes,
        delivery: Delivery,
        content_type: str,
        properties: Sequence[tuple[str, str]],
    ) -> int:
        """`publish`, for one who wants to know of the broker's answer: the id that `on_ack` hears."""
        said = self.publish(topic, payload, delivery, content_type, properties)
        if delivery.qos and not self.qos:
            _, barrier = self._client.unsubscribe(BARRIER)
            return barrier or said.mid
        return said.mid

    def _opened(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a verdict must not wait for an ACK
        self._socket = sock

    def _connected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", 65_535)
        if self.receive_maximum <= FEW_IN_FLIGHT:
            self._client.bound_in_flight(self.receive_maximum)
        self.maximum_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self.retains = self.retains and getattr(properties, "RetainAvailable", 1) != 0
        self.qos = 0 if getattr(properties, "MaximumQoS", 2) == 0 else self.qos
        self.wildcards = getattr(properties, "WildcardSubscriptionAvailable", 1) != 0
        self.sessions = getattr(properties, "SessionExpiryInterval", SESSION_EXPIRY_S) > 0
        self.resumed = bool(getattr(flags, "session_present", False))
        self.answer = reason

    def _disconnected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Any,
    ) -> None:
        self.farewell = reason
        self.dismissed = flags.is_disconnect_packet_from_server

    def _published(
        self, client: paho.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any
    ) -> None:
        self._on_ack(mid, reason)

    def _passed(
        self, client: paho.Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Any
    ) -> None:
        self._on_ack(mid, ReasonCode(PacketTypes.PUBACK, "Success"))

    def _subscribed(
        self, client: paho.Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Any
    ) -> None:
        self.subscription = tuple(reasons)

    def _arrived(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._on_message(_inbound(message, self._number))


def _inbound(message: paho.MQTTMessage, number: int) -> Inbound:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = ""  # nobody's, so nobody takes it
    return Inbound(
        topic=topic,
        payload=bytes(message.payload),
        retained=message.retain,
        response_topic=getattr(message.properties, "ResponseTopic", None),
        correlation_data=getattr(message.properties, "CorrelationData", None),
        token=number << PACKET_ID_BITS | message.mid,
    )


def _password(settings: Mqtt) -> str | None:
    if settings.password_file is None:
        return None
    return read_secret(settings.password_file, key="mqtt.password_file")


def _nothing(*_: Any) -> None:
    pass

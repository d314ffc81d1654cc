"""One connection to an MQTT broker: a paho client that lives from one CONNECT to its end.

Because no client outlives its connection, paho never retransmits anything: the outbox owns
that. Paho holds its locks while it runs callbacks, so they only note what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.settings import Mqtt
from agent.uplink.topics import Delivery

Protocol: TypeAlias = Literal["5", "3.1.1"]

SESSION_EXPIRY_S = 3600
WILL_DELAY_S = 5
CONNECT_TIMEOUT_S = 5.0


class Connection:
    """`open` and `turn` are for one thread; `publish` is for any, but not from `on_ack`."""

    def __init__(
        self,
        settings: Mqtt,
        *,
        protocol: Protocol,
        client_id: str,
        on_ack: Callable[[int, ReasonCode], None],
    ) -> None:
        self.protocol = protocol
        self.answer: ReasonCode | None = None  # to CONNECT
        self.farewell: ReasonCode | None = None  # why it ended
        self.receive_maximum = 65_535
        self.maximum_packet_bytes: int | None = None
        self._settings = settings
        self._on_ack = on_ack
        v5 = protocol == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if v5 else False,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            reconnect_on_failure=False,
        )

    @property
    def accepted(self) -> bool:
        return self.answer is not None and not self.answer.is_failure

    def open(self, *, will_topic: str, last_will: bytes, will: Delivery) -> None:
        """Reach the broker and send CONNECT. Raises OSError or ValueError."""
        client, settings = self._client, self._settings
        client.suppress_exceptions = True
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the window is the courier's
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        # With this set, publish() leaves writing to the loop instead of writing from its own thread.
        client.on_socket_register_write = _nothing
        if settings.username is not None:
            client.username_pw_set(settings.username, _password(settings))
        if settings.tls:
            client.tls_set(ca_certs=None if settings.ca_file is None else str(settings.ca_file))
        if self.protocol == "5":
            properties = _user_properties("application/json", (), PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = WILL_DELAY_S
            client.will_set(will_topic, last_will, will.qos, will.retain, properties)
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            session.SessionExpiryInterval = SESSION_EXPIRY_S
            client.connect(
                settings.host, settings.port, settings.keepalive_s, clean_start=False, properties=session
            )
        else:
            client.will_set(will_topic, last_will, will.qos, will.retain)
            client.connect(settings.host, settings.port, settings.keepalive_s)

    def turn(self, timeout_s: float) -> bool:
        """Let paho read and write for at most `timeout_s`; False when the connection has ended.

        Raises anything for a packet that cannot be parsed.
        """
        return self._client.loop(timeout_s) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def hang_up(self) -> None:
        """Send DISCONNECT, upon which the broker drops the last will, and give it two seconds to leave."""
        self._client.disconnect()
        for _ in range(8):
            if not self.turn(0.25):
                return

    def drop(self) -> None:
        """Let go of the client; its sockets close with it."""
        self._client.on_connect = self._client.on_disconnect = self._client.on_publish = None

    def publish(
        self,
        topic: str,
        payload: bytes,
        delivery: Delivery,
        content_type: str,
        properties: Sequence[tuple[str, str]] = (),
    ) -> paho.MQTTMessageInfo:
        """Hand over one message; MQTT 3.1.1 leaves out content type and properties.

        Raises ValueError or MQTTException when it cannot be encoded.
        """
        v5 = _user_properties(content_type, properties, PacketTypes.PUBLISH) if self.protocol == "5" else None
        return self._client.publish(topic, payload, delivery.qos, delivery.retain, properties=v5)

    def _connected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", 65_535)
        self.maximum_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self.answer = reason

    def _disconnected(
        self, client: paho.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self.farewell = reason

    def _published(
        self, client: paho.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any
    ) -> None:
        self._on_ack(mid, reason)


def _user_properties(content_type: str, pairs: Sequence[tuple[str, str]], packet: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    if pairs:
        properties.UserProperty = list(pairs)
    return properties


def _password(settings: Mqtt) -> str | None:
    if settings.password_file is None:
        return None
    return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")


def _nothing(*_: Any) -> None:
    pass

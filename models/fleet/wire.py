"""The office's connection to the broker: it hears the fleet, says what is retained, and comes back by itself.

`is_ready` is True when all that is retained has been heard: the broker has then given back a message of our
own, which it got after our subscription.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock, new_uuid7
from agent.contract.inbound import Inbound
from agent.contract.payloads import JSON
from agent.contract.topics import TOPICS, Delivery
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import refusals
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.retry import back_off_s, next_protocol
from agent.uplink.mqtt.terms import Terms

READY_WITHIN_S = 30.0
TURN = Delivery(qos=1, retain=False)
RETAINED = Delivery(qos=1, retain=True)


class WireError(PlumblineError):
    """The broker cannot be reached, or does not let us; says what to mend."""


class Wire:
    """For one thread: `turn` does everything, and calls `note` with each message and who brought it."""

    def __init__(
        self,
        settings: Mqtt,
        *,
        issuer: str,
        filters: Sequence[str],
        note: Callable[[Inbound, Connection], None],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.is_ready = False
        self.trouble = ""  # while there is no connection, why
        self._settings = settings
        self._turn_topic = f"plumbline/v1/fleet/{issuer}/turn"
        self._filters = (*filters, self._turn_topic)
        self._issuer = issuer
        self._note = note
        self._clock = clock
        self._rng = rng
        self._nonce = b""
        self._connection: Connection | None = None
        self._protocol = next_protocol(settings.protocol, "3.1.1", "failed")
        self._connections = self._failed = 0
        self._was_ready = self._has_asked = self._has_turned = False
        self._since_ns = self._not_before_ns = 0
        self._on_way: dict[int, str] = {}  # packet id to topic
        self._acks: list[tuple[int, ReasonCode]] = []
        self._landed: list[str] = []

    def turn(self, timeout_s: float) -> None:
        """Read and write for at most about `timeout_s`. Raises WireError where trying again is of no use."""
        connection = self._connection
        if connection is None:
            wait_s = (self._not_before_ns - self._clock.monotonic_ns()) / 1e9
            if wait_s > 0:
                self._clock.sleep(min(wait_s, timeout_s))
                return
            connection = self._connect()
            if connection is None:
                return
        error: Exception | None = None
        try:
            lives = connection.turn(timeout_s)
        except Exception as raised:  # of a packet that nobody can parse, or of the network
            lives, error = False, raised
        self._land()
        if not lives:
            self._ended(connection, error)
            return
        self._attend(connection)

    def publish(self, topic: str, payload: bytes, delivery: Delivery = RETAINED) -> None:
        """Hand over a message; `landed` tells when the broker has it. Without a connection it is lost."""
        if self._connection is None or not self._connection.accepted:
            return
        try:
            self._connection.check_size(topic, payload)
        except ValueError as error:
            raise WireError(f"{topic}: {error}; raise its limit, or make the content smaller") from error
        said = self._connection.publish(topic, payload, delivery, JSON)
        if delivery.qos:
            self._on_way[said.mid] = topic

    @property
    def on_way(self) -> frozenset[str]:
        """The topics of what the broker has not acknowledged."""
        return frozenset(self._on_way.values())

    def landed(self) -> list[str]:
        """The topics of what the broker has, since the last call."""
        landed, self._landed = self._landed, []
        return landed

    def close(self) -> None:
        """Say goodbye."""
        if self._connection is not None:
            if self._connection.accepted:
                self._connection.hang_up()
            self._connection.drop()
            self._connection = None

    def _connect(self) -> Connection | None:
        self._connections += 1
        self._nonce = new_uuid7(self._clock).encode()
        connection = Connection(
            self._settings,
            number=self._connections,
            protocol=self._protocol,
            client_id=f"plumbline-fleet-{self._nonce[-12:].decode()}",
            terms=Terms(will=False, fresh=True, kept=False),
            on_ack=lambda packet_id, reason: self._acks.append((packet_id, reason)),
            on_message=self._arrived,
        )
        self._connection = connection
        self._has_asked = self._has_turned = False
        self._since_ns = self._clock.monotonic_ns()
        try:
            connection.open(will_topic="", last_will=b"", will=TOPICS["status"])
        except PlumblineError:
            self._drop()
            raise
        except Exception as error:  # of the network, or of a broker that speaks another language
            self._ended(connection, error)
            return None
        return connection

    def _attend(self, connection: Connection) -> None:
        if not connection.accepted:
            self._check_patience()
            return
        if not self._has_asked:
            self._has_asked = True
            connection.subscribe(self._filters)
        if connection.subscription is None:
            self._check_patience()
        elif not self.is_ready:
            for name, granted in zip(self._filters, connection.subscription, strict=False):
                if granted.is_failure:
                    raise WireError(f"{self._broker}: we may not read {name} ({granted}); {self._remedy}")
            if not self._has_turned:
                self._has_turned = True
                self.publish(self._turn_topic, self._nonce, TURN)
            self._check_patience()

    def _arrived(self, inbound: Inbound) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.acknowledge(inbound)
        if inbound.topic != self._turn_topic:
            self._note(inbound, connection)
        elif inbound.payload == self._nonce:
            self.is_ready = self._was_ready = True
            self.trouble, self._failed = "", 0

    def _land(self) -> None:
        acks, self._acks = self._acks, []
        for packet_id, reason in acks:
            topic = self._on_way.pop(packet_id, None)
            if topic is None:
                continue
            if reason.is_failure:
                raise WireError(f"{self._broker}: we may not write {topic} ({reason}); {self._remedy}")
            self._landed.append(topic)

    def _check_patience(self) -> None:
        if (self._clock.monotonic_ns() - self._since_ns) / 1e9 > READY_WITHIN_S:
            raise WireError(
                f"{self._broker}: it did not give back our own message on {self._turn_topic} within "
                f"{READY_WITHIN_S:.0f} s; {self._remedy}"
            )

    def _ended(self, connection: Connection, error: Exception | None) -> None:
        outcome = refusals.outcome(connection, error)
        words = (
            refusals.failed(error, self._settings)
            if error is not None
            else refusals.ended(connection, self._settings, None)
        )
        tried, self._protocol = (
            self._protocol,
            next_protocol(self._settings.protocol, self._protocol, outcome),
        )
        self._drop()
        if not self._was_ready and (tried == self._protocol or self._protocol == "5"):
            raise WireError(shown(words))
        self.trouble = shown(words)
        self._not_before_ns = self._clock.monotonic_ns() + round(back_off_s(self._failed, self._rng) * 1e9)
        self._failed += 1

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.drop()
        self._connection = None
        self.is_ready = False
        self._on_way.clear()
        self._acks.clear()

    @property
    def _broker(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    @property
    def _remedy(self) -> str:
        return (
            "give mqtt.username or mqtt.cert_file of somebody who may, such as the role fleet of "
            "deploy/mosquitto/plumbline.acl"
        )

"""The Link to an MQTT broker, for as long as the agent runs.

One thread connects, says the status, and backs off when the connection ends. `wait` and
`publish` belong to the courier's thread, everything else may be called from any.

MQTT 5 is tried first and 3.1.1 when the broker does not speak it (protocol "auto"). MQTT 3.1.1
messages have no properties. Verdicts and events are JSON that says everything by itself; a crop
is preceded by its properties as JSON on `crop_header/{camera}`, and counts as delivered when both
messages are acknowledged. Header and image belong together by `sha256`, in any order and
however often either arrives. A 3.1.1 broker cannot refuse a message: what it does not want to
store it acknowledges all the same.

Commands wait in `inbound` until somebody takes and acknowledges them. What is not acknowledged
comes again on the next connection, so the same command may come twice.
"""

from __future__ import annotations

import queue
import random
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from agent.clock import Clock
from agent.settings import Mqtt
from agent.uplink import certificates, refusals
from agent.uplink.carrier import Carrier
from agent.uplink.connection import CONNECT_TIMEOUT_S, INBOUND_BYTES, Connection
from agent.uplink.herald import Herald, Response
from agent.uplink.inbound import Inbound
from agent.uplink.payloads import JSON
from agent.uplink.retry import (
    Ending,
    Outcome,
    Protocol,
    Retry,
    after,
    back_off_s,
    lasting,
    next_protocol,
)
from agent.uplink.row import Waiting
from agent.uplink.shipment import LinkEvent
from agent.uplink.topics import TOPICS, Topics

LOOP_S = 0.25
LAST_WORDS_S = 2.0
ANSWER_TIMEOUT_S = 10.0  # to CONNECT
INBOUND_WAITING = 64
RESPONSES_WAITING = 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How it stands with the broker; `since` is when that began.

    `duplicate_client_id` holds from the moment another client is known to have our id until a
    connection has lasted for a minute.
    """

    connected: bool
    protocol: Protocol | None
    reason: str
    since: datetime
    connects: int
    duplicate_client_id: bool = False


class MqttLink:
    """A Link that connects, and connects again, until it is stopped."""

    def __init__(
        self, settings: Mqtt, *, topics: Topics, last_will: bytes, clock: Clock, rng: random.Random
    ) -> None:
        self.inbound: queue.SimpleQueue[Inbound] = queue.SimpleQueue()
        self._settings = settings
        self._topics = topics
        self._last_will = last_will
        self._clock = clock
        self._rng = rng
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._failure: Exception | None = None
        self._moved_ns = clock.monotonic_ns()
        self._state = LinkState(
            connected=False, protocol=None, reason="not started", since=clock.utc_now(), connects=0
        )
        self._live: Connection | None = None
        self._status: bytes | None = None  # the latest
        self._responses: deque[Response] = deque()
        self._inbound_dropped = 0
        self._carrier = Carrier(topics)
        # The network thread only.
        self._retry = Retry()
        self._attempts = 0  # the number of a connection, so that its packet ids are not taken for another's
        self._accepted_ns = 0
        self._doubted: str | None = None

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def failure(self) -> Exception | None:
        """Why the network thread ended; None while all is well. No packet and no callback can end it."""
        return self._failure

    @property
    def inbound_dropped(self) -> int:
        """Messages acknowledged unread: too large, without a proper topic, or too many at a time."""
        return self._inbound_dropped

    def silent_s(self) -> float:
        """For how long the network thread has not moved; more than a minute is a hang."""
        return (self._clock.monotonic_ns() - self._moved_ns) / 1e9

    def start(self) -> None:
        self._thread.start()

    def stop(self, last_words: bytes | None = None) -> None:
        """Disconnect in the way that keeps the last will unsaid; `last_words` become the status."""
        if last_words is not None:
            self._status = last_words
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CONNECT_TIMEOUT_S + LAST_WORDS_S)

    def publish_status(self, payload: bytes) -> None:
        """The retained status: it is said soon, and again after every connect; only the latest counts."""
        self._status = payload

    def publish_metrics(self, payload: bytes) -> None:
        """Metrics for whoever listens now; dropped without a connection."""
        live = self._live
        if live is not None:
            live.publish(self._topics.metrics(), payload, TOPICS["metrics"], JSON)

    def respond(self, topic: str, payload: bytes, correlation_data: bytes | None) -> None:
        """Answer a command, within LOOP_S; dropped without a connection or behind too many others.

        Whether `topic` is allowed is for the caller to see.
        """
        if self._live is None or len(self._responses) >= RESPONSES_WAITING:
            log.warning("response_dropped", topic=topic, reason="no connection, or too many wait")
            return
        self._responses.append(Response(topic=topic, payload=payload, correlation_data=correlation_data))

    def acknowledge(self, inbound: Inbound) -> None:
        """The broker need not send `inbound` again; one of an earlier connection comes again all the same."""
        live = self._live
        if live is not None:
            live.acknowledge(inbound)

    def wake(self) -> None:
        self._carrier.wake()

    def wait(self, timeout_s: float) -> Sequence[LinkEvent]:
        return self._carrier.wait(timeout_s)

    def publish(self, waiting: Waiting) -> None:
        self._carrier.publish(waiting)

    def _run(self) -> None:
        protocol = next_protocol(self._settings.protocol, "3.1.1", "failed")
        try:
            while not self._stopping.is_set():
                outcome, reason = self._connect_once(protocol)
                self._set_down(reason)
                tried, protocol = protocol, next_protocol(self._settings.protocol, protocol, outcome)
                if outcome != "unsupported" or protocol == tried:
                    self._stopping.wait(back_off_s(self._retry.attempt, self._rng))
                self._moved_ns = self._clock.monotonic_ns()
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("mqtt_failed", reason=str(error), exc_info=error)
            self._failure = error

    def _connect_once(self, protocol: Protocol) -> tuple[Outcome, str]:
        """One connection from its beginning to its end: how far it came, and why it ended."""
        settings = self._settings
        self._attempts += 1
        connection = Connection(
            settings,
            number=self._attempts,
            protocol=protocol,
            client_id=self._topics.station,
            on_ack=self._carrier.note_ack,
            on_message=self._note_message,
        )
        doubt: str | None = None
        self._accepted_ns = self._clock.monotonic_ns()
        try:
            doubt = certificates.doubt(settings, station=self._topics.station, now=self._clock.utc_now())
            if doubt not in (None, self._doubted):
                log.warning("mqtt_certificate", reason=doubt)  # not every broker minds
            self._doubted = doubt
            connection.open(
                will_topic=self._topics.status(), last_will=self._last_will, will=TOPICS["status"]
            )
            self._converse(connection)
        except Exception as error:
            self._retry = after(self._retry, Ending(outcome="failed"))
            return "failed", refusals.failed(error, settings, doubt)
        finally:
            self._hush(connection)
        outcome, reason = refusals.ended(connection, settings, doubt)
        ending = Ending(
            outcome=outcome,
            lasted_s=self._lasted_s(),
            taken_over=refusals.is_taken_over(connection),
            explained=connection.dismissed,
        )
        self._retry = after(self._retry, ending)
        if outcome == "accepted" and self._retry.duplicate_client_id:
            reason = refusals.rivalled(connection, settings, self._topics.station)
        return outcome, reason

    def _converse(self, connection: Connection) -> None:
        herald = Herald(connection, self._topics.status())
        opened_ns = self._clock.monotonic_ns()
        leaving_ns = 0
        while connection.turn(LOOP_S):
            self._moved_ns = self._clock.monotonic_ns()
            if connection.accepted:
                self._attend(connection)
            elif self._moved_ns - opened_ns > ANSWER_TIMEOUT_S * 1e9:
                raise TimeoutError("CONNECT was not answered")
            said = not connection.accepted or herald.say(self._status, self._responses)
            if self._stopping.is_set():
                leaving_ns = leaving_ns or self._moved_ns
                if said or self._moved_ns - leaving_ns > LAST_WORDS_S * 1e9:
                    connection.hang_up()
                    return

    def _attend(self, connection: Connection) -> None:
        """What an accepted connection needs: to be made known, to hear commands, to outlive a rival."""
        if self._live is None:
            self._accepted_ns = self._moved_ns
            connection.subscribe(self._topics.commands(), TOPICS["cmd"].qos)
            self._set_up(connection)
        subscription = connection.subscription
        if subscription is not None and subscription.is_failure:
            reason = refusals.unsubscribed(self._topics.commands(), subscription, self._settings)
            if self._state.reason != reason:
                log.warning("mqtt_commands_refused", reason=reason)
                self._state = replace(self._state, reason=reason)
        self._retry = lasting(self._retry, self._lasted_s())
        if self._state.duplicate_client_id and not self._retry.duplicate_client_id:
            self._state = replace(self._state, duplicate_client_id=False)

    def _lasted_s(self) -> float:
        return (self._clock.monotonic_ns() - self._accepted_ns) / 1e9

    def _set_up(self, connection: Connection) -> None:
        self._live = connection  # before the state says so
        self._state = LinkState(
            connected=True,
            protocol=connection.protocol,
            reason=f"connected to {self._settings.host}:{self._settings.port}",
            since=self._clock.utc_now(),
            connects=self._state.connects + 1,
            duplicate_client_id=self._retry.duplicate_client_id,
        )
        log.info("mqtt_connected", protocol=connection.protocol, connects=self._state.connects)
        self._carrier.note_up(connection)

    def _hush(self, connection: Connection) -> None:
        self._live = None
        self._responses.clear()
        connection.drop()
        if connection.accepted:
            self._carrier.note_down()

    def _set_down(self, reason: str) -> None:
        if self._stopping.is_set():
            reason = "stopped"
        if not self._state.connected and self._state.reason == reason:
            return
        if not self._stopping.is_set():
            log.warning("mqtt_disconnected", reason=reason)
        self._state = LinkState(
            connected=False,
            protocol=None,
            reason=reason,
            since=self._clock.utc_now(),
            connects=self._state.connects,
            duplicate_client_id=self._retry.duplicate_client_id,
        )

    def _note_message(self, inbound: Inbound) -> bool:
        oversized = len(inbound.payload) > INBOUND_BYTES
        if not inbound.topic or oversized or self.inbound.qsize() >= INBOUND_WAITING:
            self._inbound_dropped += 1
            return False
        self.inbound.put(inbound)
        return True

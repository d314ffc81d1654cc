"""The Link to an MQTT broker, for as long as the agent runs.

One thread connects, says the status, and backs off when the connection ends. `wait` and
`publish` belong to the courier's thread, everything else may be called from any.

MQTT 5 is tried first and 3.1.1 when the broker does not speak it (protocol "auto"). MQTT 3.1.1
messages have no properties. Verdicts and events are JSON that says everything by itself; a crop
is preceded by its properties as JSON on `crop_header/{camera}`, and counts as delivered when both
messages are acknowledged. Header and image belong together by `sha256`, in any order and
however often either arrives. A 3.1.1 broker cannot refuse a message: what it does not want to
store it acknowledges all the same.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

import structlog
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.exception import MQTTException
from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock
from agent.settings import Mqtt
from agent.uplink import refusals
from agent.uplink.connection import CONNECT_TIMEOUT_S, Connection, Protocol
from agent.uplink.delivery import Acknowledged, Connected, Disconnected, LinkEvent, Refused, Woken
from agent.uplink.payloads import JSON, crop_header
from agent.uplink.row import Waiting
from agent.uplink.topics import TOPICS, Topics

Outcome: TypeAlias = Literal["accepted", "unsupported", "hung_up", "failed"]

LOOP_S = 0.25
LAST_WORDS_S = 2.0
STABLE_S = 10.0  # a connection this long starts the back-off afresh
BACK_OFF_FIRST_S = 0.5
BACK_OFF_LAST_S = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How it stands with the broker; `since` is when that began."""

    connected: bool
    protocol: Protocol | None
    reason: str
    since: datetime
    connects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Up:
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class _Down:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ack:
    mid: int
    reason: ReasonCode


_Note: TypeAlias = _Up | _Down | _Ack | Refused | Woken


def next_protocol(wanted: Literal["auto", "5", "3.1.1"], tried: Protocol, outcome: Outcome) -> Protocol:
    """What to speak next: MQTT 5 whenever there is no reason against it."""
    if wanted != "auto":
        return wanted
    return "3.1.1" if tried == "5" and outcome in ("unsupported", "hung_up") else "5"


def back_off_s(attempt: int, rng: random.Random) -> float:
    """Before the attempt after `attempt` failed ones: doubling, and never two agents in step."""
    ceiling_s = min(BACK_OFF_FIRST_S * 2.0 ** min(attempt, 16), BACK_OFF_LAST_S)
    return rng.uniform(ceiling_s / 2, ceiling_s)


class MqttLink:
    """A Link that connects, and connects again, until it is stopped."""

    def __init__(
        self, settings: Mqtt, *, topics: Topics, last_will: bytes, clock: Clock, rng: random.Random
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._last_will = last_will
        self._clock = clock
        self._rng = rng
        self._inbox: queue.SimpleQueue[_Note] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._failure: Exception | None = None
        self._moved_ns = clock.monotonic_ns()
        self._state = LinkState(
            connected=False, protocol=None, reason="not started", since=clock.utc_now(), connects=0
        )
        self._live: Connection | None = None
        self._status: bytes | None = None  # the latest
        # The courier's thread only.
        self._carrier: Connection | None = None
        self._seq_of: dict[int, int] = {}  # packet id to row
        self._unacknowledged: dict[int, int] = {}  # row to how many of its messages

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def failure(self) -> Exception | None:
        """Why the network thread ended; None while all is well."""
        return self._failure

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

    def wake(self) -> None:
        self._inbox.put(Woken())

    def wait(self, timeout_s: float) -> Sequence[LinkEvent]:
        notes: list[_Note] = []
        try:
            notes.append(self._inbox.get(timeout=timeout_s))
            # What follows a change of connection waits, so that nothing is published on one not yet heard of.
            while not isinstance(notes[-1], _Up | _Down):
                notes.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return [event for note in notes for event in self._events(note)]

    def publish(self, waiting: Waiting) -> None:
        carrier, row, seq = self._carrier, waiting.row, waiting.seq
        if carrier is None:
            return
        messages = [(row.topic, row.payload, row.content_type)]
        if row.kind == "crop" and carrier.protocol == "3.1.1":
            header_topic = self._topics.crop_header(row.topic.rpartition("/")[2])
            messages.insert(0, (header_topic, crop_header(row), JSON))
        self._unacknowledged[seq] = len(messages)
        try:
            for topic, payload, content_type in messages:
                said = carrier.publish(topic, payload, TOPICS[row.kind], content_type, row.properties)
                self._seq_of[said.mid] = seq
        except (ValueError, MQTTException) as error:
            self._inbox.put(Refused(seq=seq, reason=f"it cannot be encoded: {error}"))

    def _events(self, note: _Note) -> Iterator[LinkEvent]:
        """The courier's view of a note; packet ids are resolved here, in the thread that gave them out."""
        match note:
            case _Up(connection=connection):
                self._carry(connection)
                yield Connected(
                    receive_maximum=max(connection.receive_maximum - 1, 1),  # one is for the status
                    maximum_packet_bytes=connection.maximum_packet_bytes,
                )
            case _Down():
                self._carry(None)
                yield Disconnected()
            case _Ack():
                yield from self._landed(note)
            case _:
                yield note

    def _carry(self, carrier: Connection | None) -> None:
        self._carrier = carrier
        self._seq_of.clear()
        self._unacknowledged.clear()

    def _landed(self, ack: _Ack) -> Iterator[LinkEvent]:
        seq = self._seq_of.pop(ack.mid, None)
        if seq is None or seq not in self._unacknowledged:
            return
        if ack.reason.is_failure:
            del self._unacknowledged[seq]
            yield Refused(seq=seq, reason=f"the broker said {ack.reason} (0x{ack.reason.value:02x})")
            return
        self._unacknowledged[seq] -= 1
        if not self._unacknowledged[seq]:
            del self._unacknowledged[seq]
            yield Acknowledged(seqs=(seq,))

    def _run(self) -> None:
        protocol = next_protocol(self._settings.protocol, "3.1.1", "failed")
        attempt = 0
        try:
            while not self._stopping.is_set():
                began_ns = self._clock.monotonic_ns()
                outcome, reason = self._connect_once(protocol)
                lasted_s = (self._clock.monotonic_ns() - began_ns) / 1e9
                attempt = 0 if outcome == "accepted" and lasted_s > STABLE_S else attempt + 1
                self._set_down(reason)
                tried, protocol = protocol, next_protocol(self._settings.protocol, protocol, outcome)
                if outcome != "unsupported" or protocol == tried:
                    self._stopping.wait(back_off_s(attempt - 1, self._rng))
                self._moved_ns = self._clock.monotonic_ns()
        except Exception as error:  # whatever ends this thread is for its crew to see
            log.error("mqtt_failed", reason=str(error), exc_info=error)
            self._failure = error

    def _connect_once(self, protocol: Protocol) -> tuple[Outcome, str]:
        """One connection from its beginning to its end: how far it came, and why it ended."""
        settings, client_id = self._settings, self._topics.station
        connection = Connection(settings, protocol=protocol, client_id=client_id, on_ack=self._note_ack)
        try:
            connection.open(
                will_topic=self._topics.status(), last_will=self._last_will, will=TOPICS["status"]
            )
            self._converse(connection)
        except Exception as error:
            return "failed", refusals.failed(error, settings)
        finally:
            self._hush(connection)
        if connection.accepted:
            return "accepted", refusals.lost(connection.farewell, settings, client_id)
        if connection.answer is None:
            return "hung_up", refusals.hung_up(settings)
        outcome: Outcome = "unsupported" if refusals.is_unsupported(connection.answer) else "failed"
        return outcome, refusals.refused(connection.answer, settings)

    def _converse(self, connection: Connection) -> None:
        herald = _Herald(connection, self._topics.status())
        leaving_ns = 0
        while connection.turn(LOOP_S):
            self._moved_ns = self._clock.monotonic_ns()
            if connection.accepted and self._live is None:
                self._set_up(connection)
            said = not connection.accepted or herald.say(self._status)
            if self._stopping.is_set():
                leaving_ns = leaving_ns or self._moved_ns
                if said or self._moved_ns - leaving_ns > LAST_WORDS_S * 1e9:
                    connection.hang_up()
                    return

    def _set_up(self, connection: Connection) -> None:
        self._state = LinkState(
            connected=True,
            protocol=connection.protocol,
            reason=f"connected to {self._settings.host}:{self._settings.port}",
            since=self._clock.utc_now(),
            connects=self._state.connects + 1,
        )
        log.info("mqtt_connected", protocol=connection.protocol, connects=self._state.connects)
        self._live = connection
        self._inbox.put(_Up(connection=connection))

    def _hush(self, connection: Connection) -> None:
        self._live = None
        connection.drop()
        if connection.accepted:
            self._inbox.put(_Down())

    def _set_down(self, reason: str) -> None:
        if self._stopping.is_set():
            reason = "stopped"
        elif self._state.connected or self._state.reason != reason:
            log.warning("mqtt_disconnected", reason=reason)
        if self._state.connected or self._state.reason != reason:
            self._state = LinkState(
                connected=False,
                protocol=None,
                reason=reason,
                since=self._clock.utc_now(),
                connects=self._state.connects,
            )

    def _note_ack(self, mid: int, reason: ReasonCode) -> None:
        self._inbox.put(_Ack(mid=mid, reason=reason))


class _Herald:
    """Says the status on one connection: always the latest, one at a time, so as to know the load."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._said: bytes | None = None
        self._receipt: MQTTMessageInfo | None = None

    def say(self, status: bytes | None) -> bool:
        """Whether the broker has `status`; otherwise it is on its way or has its turn later."""
        heard = self._receipt is None or self._receipt.is_published()
        if heard and status is not None and status != self._said:
            self._said = status
            self._receipt = self._connection.publish(self._topic, status, TOPICS["status"], JSON)
            return False
        return heard

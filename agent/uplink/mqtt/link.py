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
comes again on the next connection, so the same command may come twice. An MQTT 5 broker sends a few
at a time; what comes beyond the bound all the same is answered with 429, and where no more answers
can wait it is neither answered nor acknowledged. A packet over our limit ends the connection.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace

import structlog
from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock
from agent.contract.inbound import Inbound, Inbox
from agent.contract.payloads import JSON
from agent.contract.row import Waiting
from agent.contract.topics import TOPICS, Topics
from agent.settings.settings import Mqtt
from agent.uplink.mqtt import certificates, refusals
from agent.uplink.mqtt.bounded import OversizedError
from agent.uplink.mqtt.carrier import Carrier
from agent.uplink.mqtt.connection import CONNECT_TIMEOUT_S, Connection
from agent.uplink.mqtt.conversation import Conversation
from agent.uplink.mqtt.ear import DEAF_S
from agent.uplink.mqtt.forgetting import forget_session
from agent.uplink.mqtt.intake import Intake, TurnAway
from agent.uplink.mqtt.link_state import LinkState
from agent.uplink.mqtt.retry import (
    Ending,
    Outcome,
    Protocol,
    Retry,
    after,
    back_off_s,
    lasting,
    next_protocol,
)
from agent.uplink.mqtt.sayings import Answer
from agent.uplink.mqtt.terms import Lessons, Terms, learned
from agent.uplink.shipment import LinkEvent

LOOP_S = 0.25
LAST_WORDS_S = 2.0
ANSWER_TIMEOUT_S = 10.0  # to CONNECT
ROOM_S = 0.01

log = structlog.get_logger(__name__)


class MqttLink:
    """A Link that connects, and connects again, until it is stopped."""

    def __init__(
        self,
        settings: Mqtt,
        *,
        topics: Topics,
        last_will: bytes,
        clock: Clock,
        rng: random.Random,
        turn_away: TurnAway,
        documents: Sequence[str] = (),
    ) -> None:
        """`documents` are the topics on which the station is told what to be."""
        self._intake = Intake(topics, settings.response_prefixes, clock, turn_away, documents=documents)
        self._others = (*documents, topics.bundle_data()) if documents else ()
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
        self._conversation: Conversation | None = None  # the network thread only
        self._status: bytes | None = None  # the latest
        self._report: bytes | None = None  # the latest
        self._carrier = Carrier(topics)
        # The network thread only.
        self._retry = Retry()
        self._lessons = Lessons()
        self._attempts = 0  # the number of a connection, so that its packet ids are not taken for another's
        self._accepted_ns = 0
        self._doubted: str | None = None

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def inbound(self) -> Inbox:
        """Commands that wait to be taken."""
        return self._intake.inbox

    @property
    def documents(self) -> Inbox:
        """What the station is to be, as it came; acknowledged already."""
        return self._intake.documents

    @property
    def pieces(self) -> Inbox:
        """Of a bundle that was asked for; acknowledged already, and dropped where there is no room."""
        return self._intake.pieces

    @property
    def failure(self) -> Exception | None:
        """Why the network thread ended; None while all is well. No packet and no callback can end it."""
        return self._failure

    @property
    def inbound_dropped(self) -> int:
        """Messages that nobody reads: too large, without a proper topic, or too many for an answer."""
        return self._intake.dropped

    @property
    def inbound_refused(self) -> int:
        """Commands that were answered with 429, because too many waited."""
        return self._intake.refused

    @property
    def responses_lost(self) -> int:
        """Answers to commands that nobody has got."""
        return self._intake.sayings.lost

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

    def publish_reported(self, payload: bytes) -> None:
        """The retained report of settings and bundle: like the status."""
        self._report = payload
        if (live := self._live) is not None:
            live.wake()

    def publish_metrics(self, payload: bytes) -> None:
        """Metrics for whoever listens now; dropped without a connection, or over the broker's limit."""
        if self._live is not None and (conversation := self._conversation) is not None:
            conversation.herald.say_metrics(self._topics.metrics(), payload)

    def ask_piece(self, payload: bytes) -> bool:
        """Ask for pieces of a bundle; False where nobody can be asked now. What is lost is asked for anew."""
        live = self._live
        if live is None:
            return False
        live.publish(self._topics.bundle_get(), payload, TOPICS["bundle_get"], JSON)
        return True

    def respond(
        self, topic: str, payload: bytes, correlation_data: bytes | None, *, is_last: bool = True
    ) -> None:
        """Answer a command; waits behind too many other answers.

        Without a connection the last answer to a command waits for the next one, where there is room, and
        any other is dropped. Whether `topic` is allowed is for the caller to see.
        """
        answer = Answer(topic=topic, payload=payload, correlation_data=correlation_data)
        sayings = self._intake.sayings
        while (live := self._live) is not None and not self._stopping.is_set():
            if sayings.offer(answer):
                live.wake()
                return
            self._stopping.wait(ROOM_S)
        if not (is_last and sayings.offer(answer)):
            log.warning("response_dropped", topic=topic, reason="no connection")
            sayings.lose()

    def acknowledge(self, inbound: Inbound) -> None:
        """The broker need not send `inbound` again, once it has the answers that were given before.

        One of an earlier connection comes again all the same.
        """
        if (live := self._live) is not None:
            self._intake.sayings.acknowledge(inbound)
            live.wake()

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
        settings, terms = self._settings, self._lessons.terms
        connection = self._connection(protocol, terms)
        self._conversation = conversation = Conversation(
            connection, self._topics, self._intake.sayings, self._others
        )
        doubt: str | None = None
        error: Exception | None = None
        self._accepted_ns = self._clock.monotonic_ns()
        try:
            doubt = certificates.doubt(settings, station=self._topics.station, now=self._clock.utc_now())
            if doubt not in (None, self._doubted):
                log.warning("mqtt_certificate", reason=doubt)  # not every broker minds
            self._doubted = doubt
            if terms.fresh and protocol == "3.1.1":
                started_ns = self._clock.monotonic_ns()
                forget_session(
                    settings, self._topics.station, lambda: self._keeps_waiting(started_ns), LOOP_S
                )
            connection.open(
                will_topic=self._topics.status(), last_will=self._last_will, will=TOPICS["status"]
            )
            self._converse(conversation)
        except Exception as raised:
            error = raised
        parting = conversation.parting(error, self._lasted_s(), refusals.outcome(connection, error))
        self._hush(connection)
        guess = protocol == "3.1.1" or settings.protocol != "auto"
        self._lessons = learned(self._lessons, parting, guess=guess)
        ending = Ending(
            outcome=parting.outcome,
            lasted_s=self._lasted_s(),
            taken_over=refusals.is_taken_over(connection),
            explained=connection.dismissed or parting.oversized,
        )
        self._retry = after(self._retry, ending)
        if isinstance(error, OversizedError):
            self._intake.dropped += 1
            reason = refusals.oversized(error, settings)
            self._state = replace(self._state, oversized=reason)
        elif error is not None:
            reason = refusals.failed(error, settings, doubt)
        else:
            reason = refusals.ended(connection, settings, doubt)
            if parting.outcome == "accepted" and self._retry.duplicate_client_id:
                reason = refusals.rivalled(connection, settings, self._topics.station)
        return parting.outcome, reason

    def _connection(self, protocol: Protocol, terms: Terms) -> Connection:
        self._attempts += 1
        return Connection(
            self._settings,
            number=self._attempts,
            protocol=protocol,
            client_id=self._topics.station,
            terms=terms if protocol == "5" else replace(terms, fresh=False),
            on_ack=self._note_ack,
            on_message=self._intake.take,
        )

    def _keeps_waiting(self, since_ns: int) -> bool:
        self._moved_ns = self._clock.monotonic_ns()
        return not self._stopping.is_set() and self._moved_ns - since_ns < ANSWER_TIMEOUT_S * 1e9

    def _converse(self, conversation: Conversation) -> None:
        connection = conversation.connection
        opened_ns = self._clock.monotonic_ns()
        leaving_ns = 0
        while connection.turn(LOOP_S):
            self._moved_ns = self._clock.monotonic_ns()
            if connection.accepted:
                self._attend(conversation)
            elif self._moved_ns - opened_ns > ANSWER_TIMEOUT_S * 1e9:
                raise TimeoutError("CONNECT was not answered")
            leaving = self._stopping.is_set()  # before looking at the status: it is the last then
            said = not connection.accepted or conversation.say(self._status, self._report, leaving=leaving)
            if leaving:
                leaving_ns = leaving_ns or self._moved_ns
                if said or self._moved_ns - leaving_ns > LAST_WORDS_S * 1e9:
                    connection.hang_up()
                    return

    def _attend(self, conversation: Conversation) -> None:
        """What an accepted connection needs: to be made known, to hear commands, to outlive a rival."""
        if self._live is None:
            self._accepted_ns = self._moved_ns
            self._set_up(conversation)
        lasted_s = self._lasted_s()
        conversation.attend(lasted_s)
        lacks, hears = conversation.lacks(), conversation.hears
        if (lacks, hears) != (self._state.lacks, self._state.hears):
            for lack in set(lacks) - set(self._state.lacks):
                log.warning("mqtt_broker_limited", reason=lack)
            self._state = replace(self._state, reason=self._connected_words(lacks), lacks=lacks, hears=hears)
        self._retry = lasting(self._retry, lasted_s)
        if self._state.duplicate_client_id and not self._retry.duplicate_client_id:
            self._state = replace(self._state, duplicate_client_id=False)
        if self._state.oversized is not None and lasted_s > DEAF_S:
            self._state = replace(self._state, oversized=None)

    def _connected_words(self, lacks: tuple[str, ...]) -> str:
        return "; ".join((f"connected to {self._settings.host}:{self._settings.port}", *lacks))

    def _lasted_s(self) -> float:
        return (self._clock.monotonic_ns() - self._accepted_ns) / 1e9

    def _set_up(self, conversation: Conversation) -> None:
        connection, lacks = conversation.connection, self._state.lacks
        self._live = connection  # before the state says so
        self._state = replace(
            self._state,
            connected=True,
            protocol=connection.protocol,
            reason=self._connected_words(lacks),
            since=self._clock.utc_now(),
            connects=self._state.connects + 1,
            duplicate_client_id=self._retry.duplicate_client_id,
        )
        log.info("mqtt_connected", protocol=connection.protocol, connects=self._state.connects)
        self._carrier.note_up(connection)

    def _hush(self, connection: Connection) -> None:
        self._live = None
        self._conversation = None
        self._intake.sayings.end_connection()
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
        self._state = replace(
            self._state,
            connected=False,
            protocol=None,
            hears=False,
            reason=reason,
            since=self._clock.utc_now(),
            duplicate_client_id=self._retry.duplicate_client_id,
        )

    def _note_ack(self, packet_id: int, reason: ReasonCode) -> None:
        self._carrier.note_ack(packet_id, reason)
        if self._conversation is not None:
            self._conversation.herald.note_ack(packet_id, reason)

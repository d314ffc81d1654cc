"""The courier's half of the link: rows on the connection of the moment, and what became of them.

`wait` and `publish` are for the courier's thread; the others only leave a note, from any thread. A
packet id means something on the connection that gave it out and nowhere else, so it is resolved in
the thread that published, and nothing is remembered from one connection to the next.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from paho.mqtt.exception import MQTTException
from paho.mqtt.reasoncodes import ReasonCode

from agent.contract.payloads import JSON, crop_header, leaving, told
from agent.contract.row import Waiting
from agent.contract.topics import TOPICS, Topics
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.herald import herald_window
from agent.uplink.shipment import Acknowledged, Connected, Disconnected, LinkEvent, Refused, Unheard, Woken

NO_SUBSCRIBERS = 0x10


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


class Carrier:
    """Publishes rows and turns notes into the courier's events, in order."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._head = topics.head()
        self._inbox: queue.SimpleQueue[_Note] = queue.SimpleQueue()
        self._connection: Connection | None = None
        self._seq_of: dict[int, int] = {}  # packet id to row
        self._unacknowledged: dict[int, int] = {}  # row to how many of its messages

    def note_up(self, connection: Connection) -> None:
        self._inbox.put(_Up(connection=connection))

    def note_down(self) -> None:
        self._inbox.put(_Down())

    def note_ack(self, mid: int, reason: ReasonCode) -> None:
        self._inbox.put(_Ack(mid=mid, reason=reason))

    def wake(self) -> None:
        self._inbox.put(Woken())

    def wait(self, timeout_s: float) -> Sequence[LinkEvent]:
        """What happened, after waiting for it at most `timeout_s`."""
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
        """Hand over a row, without a connection to nobody; what can never be sent is Refused."""
        connection, row, seq = self._connection, waiting.row, waiting.seq
        if connection is None:
            return
        said, properties = leaving(waiting)
        messages = [(row.topic, said, row.content_type)]
        if row.kind == "crop" and connection.protocol == "3.1.1":
            header_topic = self._topics.crop_header(row.topic.rpartition("/")[2])
            messages.insert(0, (header_topic, crop_header(told(waiting)), JSON))
        self._unacknowledged[seq] = len(messages)
        try:
            delivery = TOPICS["head" if row.topic == self._head else row.kind]
            for topic, payload, content_type in messages:
                packet_id = connection.carry(topic, payload, delivery, content_type, properties)
                self._seq_of[packet_id] = seq
        except (ValueError, MQTTException) as error:
            self._inbox.put(Refused(seq=seq, reason=f"it cannot be encoded: {error}"))

    def _events(self, note: _Note) -> Iterator[LinkEvent]:
        match note:
            case _Up(connection=connection):
                self._board(connection)
                yield Connected(
                    receive_maximum=max(connection.receive_maximum - herald_window(connection), 1),
                    maximum_packet_bytes=connection.maximum_packet_bytes,
                )
            case _Down():
                self._board(None)
                yield Disconnected()
            case _Ack(mid=mid, reason=reason):
                yield from self._landed(mid, reason)
            case _:
                yield note

    def _board(self, connection: Connection | None) -> None:
        self._connection = connection
        self._seq_of.clear()
        self._unacknowledged.clear()

    def _landed(self, mid: int, reason: ReasonCode) -> Iterator[LinkEvent]:
        seq = self._seq_of.pop(mid, None)
        if seq is None or seq not in self._unacknowledged:
            return
        if reason.is_failure:
            del self._unacknowledged[seq]
            yield Refused(seq=seq, reason=f"the broker said {reason} (0x{reason.value:02x})")
            return
        self._unacknowledged[seq] -= 1
        if not self._unacknowledged[seq]:
            del self._unacknowledged[seq]
            unheard = reason.value == NO_SUBSCRIBERS
            yield Unheard(seq=seq) if unheard else Acknowledged(seqs=(seq,))

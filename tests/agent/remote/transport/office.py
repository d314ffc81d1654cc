"""Whoever serves bundles in pieces: on a real broker, or on a wire of our own that loses and lies on cue."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import MQTTMessageInfo

from agent.contract.inbound import Inbound, Inbox
from agent.contract.topics import TOPICS, Delivery
from agent.settings.settings import Mqtt
from agent.uplink.mqtt.connection import Connection
from agent.uplink.mqtt.retry import Protocol
from agent.uplink.mqtt.terms import Terms
from models.fleet.chunks import ASKED, ChunkServer, Shelf
from tests.brokers import eventually

STATION = "plumbline/v1/site/area/line/station"


class Office:
    """Serves from its own thread; `end` breaks the connection without a word."""

    def __init__(self, folder: Path, settings: Mqtt, protocol: Protocol) -> None:
        self.answered = 0
        self._server = ChunkServer(Shelf(folder))
        self._ending = threading.Event()
        self._connection = Connection(
            settings,
            number=1,
            protocol=protocol,
            client_id=f"office-{random.random()}",
            terms=Terms(will=False, fresh=True, kept=False),
            on_ack=lambda *_: None,
            on_message=self._hear,
        )
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        eventually(lambda: self._connection.subscription is not None, "the office is subscribed")

    def end(self) -> None:
        self._ending.set()
        self._thread.join()

    def _hear(self, inbound: Inbound) -> None:
        self.answered += 1
        self._server.hear(inbound, self._connection)

    def _run(self) -> None:
        asked = False
        self._connection.open(will_topic="", last_will=b"", will=TOPICS["status"])
        while not self._ending.is_set() and self._connection.turn(0.05):
            if self._connection.accepted and not asked:
                asked = True
                self._connection.subscribe([ASKED])
        self._connection.drop()


@contextmanager
def serving(folder: Path, settings: Mqtt, protocol: Protocol) -> Iterator[Office]:
    office = Office(folder, settings, protocol)
    office.start()
    try:
        yield office
    finally:
        office.end()


class _Sent(MQTTMessageInfo):
    def __init__(self, *, has_left: bool) -> None:
        super().__init__(1)
        self._published = has_left


@dataclass(kw_only=True)
class Wire:
    """A ChunkLink and a Way in one, between a station and a shelf; `bend` makes of an answer what arrives."""

    server: ChunkServer
    bend: Callable[[bytes], list[bytes]] = lambda payload: [payload]
    maximum_packet_bytes: int | None = None
    is_up: Callable[[], bool] = lambda: True
    is_slow: bool = False
    pieces: Inbox = field(default_factory=Inbox)
    asked: int = 0

    def ask_piece(self, payload: bytes) -> bool:
        if not self.is_up():
            return False
        self.asked += 1
        self.server.hear(Inbound(topic=f"{STATION}/bundle/get", payload=payload, retained=False), self)
        return True

    def publish(self, topic: str, payload: bytes, delivery: Delivery, content_type: str) -> MQTTMessageInfo:
        assert (topic, delivery.qos, delivery.retain) == (f"{STATION}/bundle/data", 0, False)
        for one in self.bend(payload):
            self.pieces.offer(Inbound(topic=topic, payload=one, retained=False))
        return _Sent(has_left=not self.is_slow)

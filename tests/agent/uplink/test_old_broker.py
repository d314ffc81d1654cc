"""The link against a broker that speaks MQTT 3.1.1 only, hangs up and leaves things unanswered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.contract.row import Waiting
from agent.remote.commands.admission import turn_away
from agent.uplink.mqtt.link import MqttLink
from agent.uplink.shipment import Acknowledged, Connected, Disconnected, LinkEvent
from tests.agent.outbox.rows import TOPICS, crop, event, verdict
from tests.agent.uplink.raw_server import RawServer, RawTalk
from tests.agent.uplink.stations import mqtt, station, status
from tests.brokers import DEADLINE_S, HOST, eventually, free_port


class OldBroker(RawServer):
    """Speaks MQTT 3.1.1 only: refuses other levels as that version wants it, acknowledges publications."""

    def __init__(self) -> None:
        super().__init__((HOST, free_port()), OldBrokerConversation)
        self.levels: list[int] = []
        self.unanswered: set[str] = set()  # topics whose publications are not acknowledged
        self.hang_up_after = 0  # publications of the first connection


class OldBrokerConversation(RawTalk):
    server: OldBroker

    def talk(self) -> None:
        while head := self.rfile.read(1):
            kind, body = head[0], self.rfile.read(self.remaining_length())
            if kind == 0x10:
                level = body[6]
                self.server.levels.append(level)
                self.wfile.write(bytes([0x20, 2, 0, 0 if level == 4 else 1]))
                if level != 4:
                    return
            elif kind & 0xF0 == 0x30 and kind & 0x06:
                end = 2 + int.from_bytes(body[:2], "big")
                if body[2:end].decode() not in self.server.unanswered:
                    self.wfile.write(bytes([0x40, 2]) + body[end : end + 2])
                self.server.hang_up_after -= 1
                if self.server.hang_up_after == 0:
                    return

    def remaining_length(self) -> int:
        length, shift = 0, 0
        while (byte := self.rfile.read(1)[0]) & 0x80:
            length |= (byte & 0x7F) << shift
            shift += 7
        return length | byte << shift


@pytest.fixture
def old_broker() -> Iterator[OldBroker]:
    with OldBroker() as broker:
        yield broker


def test_auto_falls_back_to_311_where_5_is_not_spoken(tmp_path: Path, old_broker: OldBroker) -> None:
    one = station(tmp_path / "outbox.sqlite3", mqtt(old_broker.server_address[1], "auto"))
    one.start()
    try:
        one.outbox.append([verdict(1), crop(1)]).result(DEADLINE_S)
        one.deliver_all()
        assert one.link.state.protocol == "3.1.1"
        assert old_broker.levels == [5, 4]
    finally:
        one.stop()


def test_5_alone_says_what_to_set_where_5_is_not_spoken(tmp_path: Path, old_broker: OldBroker) -> None:
    one = station(tmp_path / "outbox.sqlite3", mqtt(old_broker.server_address[1], "5"))
    one.start()
    try:
        eventually(lambda: "set mqtt.protocol to auto" in one.link.state.reason, "the remedy is named")
    finally:
        one.stop()


def test_an_acknowledgement_of_the_status_is_never_taken_for_a_row_of_the_connection_before(
    old_broker: OldBroker,
) -> None:
    old_broker.unanswered = {TOPICS.verdict("top")}
    old_broker.hang_up_after = 1
    link = MqttLink(
        mqtt(old_broker.server_address[1], "3.1.1"),
        topics=TOPICS,
        last_will=status("offline"),
        clock=SystemClock(),
        rng=random.Random(1),
        turn_away=turn_away,
    )
    link.start()
    try:
        events_until(link, Connected())
        link.publish(Waiting(seq=1, row=verdict(1)))  # packet 2 of this connection
        events_until(link, Disconnected())
        link.publish_status(status("online"))  # packet 2 of the next one
        events_until(link, Connected())
        link.publish(Waiting(seq=1, row=verdict(1)))
        link.publish(Waiting(seq=2, row=event(1)))
        events = events_until(link, Acknowledged(seqs=(2,)))
        assert Acknowledged(seqs=(1,)) not in events
    finally:
        link.stop()


def events_until(link: MqttLink, last: LinkEvent) -> list[LinkEvent]:
    """All events up to one like `last`; of Connected, any."""
    events: list[LinkEvent] = []

    def happened() -> bool:
        events.extend(link.wait(0.1))
        if isinstance(last, Connected):
            return any(isinstance(one, Connected) for one in events)
        return last in events

    eventually(happened, f"the link says {last}")
    return events

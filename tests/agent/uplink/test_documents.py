"""What a station is to be, and what it says of that, over a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import SystemClock
from agent.contract.desired import MAX_DOCUMENT_BYTES
from agent.contract.topics import group_desired
from agent.uplink.mqtt.link import MqttLink
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.links import Impatient, status
from tests.agent.uplink.stations import hears, mqtt
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually

GROUP = group_desired("bundle", "press")


@pytest.fixture
def fleet(mosquitto: Mosquitto) -> Iterator[paho.Client]:
    """Whoever tells stations what to be."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="fleet")
    client.connect(HOST, mosquitto.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


@pytest.fixture(params=["5", "3.1.1"])
def link(mosquitto: Mosquitto, request: pytest.FixtureRequest) -> Iterator[MqttLink]:
    one = MqttLink(
        mqtt(mosquitto.port, request.param),
        topics=TOPICS,
        last_will=status("offline"),
        clock=SystemClock(),
        rng=Impatient(1),
        turn_away=lambda *_: None,
        documents=TOPICS.documents(["press"]),
    )
    yield one
    one.stop(status("stopped"))


def test_documents_that_were_there_before_come_to_a_place_of_their_own(
    mosquitto: Mosquitto, fleet: paho.Client, link: MqttLink
) -> None:
    fleet.publish(TOPICS.desired("config"), b"own", qos=1, retain=True)
    fleet.publish(GROUP, b"of the group", qos=1, retain=True).wait_for_publish(DEADLINE_S)
    link.start()
    found = [link.documents.get(timeout=DEADLINE_S) for _ in range(2)]
    assert {(one.topic, one.payload) for one in found} == {
        (TOPICS.desired("config"), b"own"),
        (GROUP, b"of the group"),
    }
    assert link.inbound.empty()


def test_a_document_that_is_too_large_arrives_so_that_it_can_be_answered(
    mosquitto: Mosquitto, fleet: paho.Client, link: MqttLink
) -> None:
    link.start()
    eventually(lambda: hears(link), "it is subscribed")
    fleet.publish(TOPICS.desired("config"), bytes(MAX_DOCUMENT_BYTES + 1), qos=1)
    assert len(link.documents.get(timeout=DEADLINE_S).payload) == MAX_DOCUMENT_BYTES + 1


def test_pieces_come_to_a_place_of_their_own_and_cost_commands_no_room(
    mosquitto: Mosquitto, fleet: paho.Client, link: MqttLink
) -> None:
    link.start()
    eventually(lambda: hears(link), "it is subscribed")
    for _ in range(600):  # more than there is room for
        fleet.publish(TOPICS.bundle_data(), bytes(100), qos=1)
    fleet.publish(TOPICS.cmd("ping"), b"{}", qos=1)
    assert link.inbound.get(timeout=DEADLINE_S).topic == TOPICS.cmd("ping")
    assert link.pieces.qsize() == 512 and link.inbound_dropped == 600 - 512


def test_pieces_are_asked_for_where_somebody_can_be_asked(mosquitto: Mosquitto, link: MqttLink) -> None:
    assert not link.ask_piece(b"early")
    server = Subscriber(mosquitto.port, TOPICS.bundle_get())
    server.start()
    link.start()
    eventually(lambda: hears(link), "it is connected")
    assert link.ask_piece(b"now")
    eventually(lambda: [one.payload for one in server.received] == [b"now"], "it came")
    server.stop()


def test_the_report_stays_with_the_broker_and_the_latest_counts(mosquitto: Mosquitto, link: MqttLink) -> None:
    subscriber = Subscriber(mosquitto.port, TOPICS.reported())
    subscriber.start()
    link.publish_reported(b"first")
    link.start()
    eventually(lambda: payloads(subscriber)[-1:] == [b"first"], "what was there before the connection")
    for number in range(50):
        link.publish_reported(b"%d" % number)
    eventually(lambda: payloads(subscriber)[-1] == b"49", "the latest")
    subscriber.stop()
    late = Subscriber(mosquitto.port, TOPICS.reported(), client_id="late")
    late.start()
    eventually(lambda: payloads(late) == [b"49"], "it is retained")
    late.stop()


def payloads(subscriber: Subscriber) -> list[bytes]:
    return [one.payload for one in subscriber.received]

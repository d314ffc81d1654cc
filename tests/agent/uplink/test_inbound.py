"""Commands arrive once they are wanted, are bounded, and are gone only when they were acknowledged."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.contract.inbound import WAITING, Inbound
from agent.uplink.mqtt import sayings
from agent.uplink.mqtt.connection import INBOUND_BYTES, INBOUND_UNACKNOWLEDGED
from agent.uplink.mqtt.link import MqttLink
from tests.agent.outbox.rows import TOPICS
from tests.agent.uplink.bad_broker import CONNACK_5, CONNACK_311, BadBroker
from tests.agent.uplink.links import connected, link_to, received
from tests.agent.uplink.stations import mqtt
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually

PING = TOPICS.cmd("ping")
PROTOCOLS = ["5", "3.1.1"]


class Mes:
    """Whoever sends commands."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="mes", protocol=paho.MQTTv5)
        self._client.connect(HOST, port)
        self._client.loop_start()

    def send(
        self, payload: bytes, *, topic: str = PING, qos: int = 1, retain: bool = False, **properties: object
    ) -> None:
        said = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(said, name, value)
        self._client.publish(topic, payload, qos, retain, properties=said).wait_for_publish(DEADLINE_S)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def mes(mosquitto: Mosquitto) -> Iterator[Mes]:
    one = Mes(mosquitto.port)
    yield one
    one.stop()


def none_waits(link: MqttLink) -> bool:
    try:
        link.inbound.get(timeout=0.5)
    except queue.Empty:
        return True
    return False


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_command_arrives_with_what_its_version_of_mqtt_tells(
    mosquitto: Mosquitto, mes: Mes, protocol: str
) -> None:
    with connected(mqtt(mosquitto.port, protocol)) as link:
        mes.send(b'{"n":1}', ResponseTopic="mes/answers/1", CorrelationData=b"\x00one")
        got = received(link)
        assert (got.topic, got.payload, got.retained) == (PING, b'{"n":1}', False)
        told = (got.response_topic, got.correlation_data)
        assert told == (("mes/answers/1", b"\x00one") if protocol == "5" else (None, None))
        mes.send(b"not for us", topic=TOPICS.event())
        mes.send(b"too deep", topic=f"{PING}/deeper")
        mes.send(b"last", qos=0)
        assert received(link).payload == b"last"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_trap_11_a_command_sent_while_the_agent_was_away_waits_in_the_session(
    mosquitto: Mosquitto, mes: Mes, protocol: str
) -> None:
    with connected(mqtt(mosquitto.port, protocol)) as link:
        mes.send(b"hello")
        link.acknowledge(received(link))
    mes.send(b"while you were out")
    with connected(mqtt(mosquitto.port, protocol)) as link:
        assert received(link).payload == b"while you were out"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_trap_13_what_was_not_acknowledged_comes_again_after_a_restart_and_what_was_does_not(
    mosquitto: Mosquitto, mes: Mes, protocol: str
) -> None:
    with connected(mqtt(mosquitto.port, protocol)) as link:
        mes.send(b"first")
        mes.send(b"second")
        first, second = received(link), received(link)
        link.acknowledge(first)
    with connected(mqtt(mosquitto.port, protocol)) as link:
        again = received(link)
        assert (again.topic, again.payload) == (second.topic, second.payload)
        link.acknowledge(again)
    with connected(mqtt(mosquitto.port, protocol)) as link:
        assert none_waits(link)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_trap_13_a_message_of_an_earlier_connection_acknowledges_nothing_on_this_one(
    mosquitto: Mosquitto, mes: Mes, protocol: str
) -> None:
    with connected(mqtt(mosquitto.port, protocol)) as link:
        mes.send(b"first")
        stale = received(link)
        mosquitto.stop()
        mosquitto.start()
        again = received(link)
        assert again.payload == stale.payload
        link.acknowledge(stale)
    with connected(mqtt(mosquitto.port, protocol)) as link:
        assert received(link).payload == b"first"


def test_trap_6_no_more_commands_come_unacknowledged_than_we_asked_for(
    mosquitto: Mosquitto, mes: Mes
) -> None:
    with connected(mqtt(mosquitto.port)) as link:
        for number in range(2 * INBOUND_UNACKNOWLEDGED):
            mes.send(b"%d" % number)
        eventually(lambda: link.inbound.qsize() == INBOUND_UNACKNOWLEDGED, "as many as we asked for came")
        for number in range(2 * INBOUND_UNACKNOWLEDGED):
            got = received(link)
            assert got.payload == b"%d" % number
            link.acknowledge(got)
        assert link.inbound_dropped == 0


def test_what_comes_beyond_the_bound_is_answered_with_429_and_acknowledged(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "max_inflight_messages 0")  # 3.1.1 has no other limit
    broker.start()
    subscriber = Subscriber(broker.port, TOPICS.rsp("ping"))
    subscriber.start()
    mes = Mes(broker.port)
    try:
        with connected(mqtt(broker.port, "3.1.1")) as link:
            for number in range(WAITING + 5):
                mes.send(b'{"id": "%d"}' % number)
            eventually(lambda: len(subscriber.received) == 5, "the rest is refused")
            answers = [json.loads(got.payload) for got in subscriber.received]
            told = [(answer["code"], answer["id"], answer["data"]) for answer in answers]
            assert told == [(429, str(number), {"kind": "busy"}) for number in range(WAITING, WAITING + 5)]
            assert (link.inbound_refused, link.inbound_dropped) == (5, 0)
            kept = [received(link) for _ in range(WAITING)]
            assert [got.payload for got in kept] == [b'{"id": "%d"}' % number for number in range(WAITING)]
            for got in kept:
                link.acknowledge(got)
            for last in (b"beside them", b"behind them"):  # an answer may pass acknowledgements once
                link.respond(TOPICS.rsp("ping"), last, None)
                eventually(lambda last=last: subscriber.received[-1].payload == last, "it was read")  # type: ignore[misc]
            mes.send(b"there is room again")
            assert received(link).payload == b"there is room again"
        with connected(mqtt(broker.port, "3.1.1")) as link:
            assert received(link).payload == b"there is room again"
            assert none_waits(link)
    finally:
        mes.stop()
        subscriber.stop()
        broker.stop()


def test_a_broker_of_mqtt_5_is_told_our_limit_and_sends_no_oversized_command(
    mosquitto: Mosquitto, mes: Mes
) -> None:
    with connected(mqtt(mosquitto.port)) as link:
        mes.send(b"x" * (INBOUND_BYTES + 1))
        mes.send(b"behind it")
        got = received(link)
        assert got.payload == b"behind it"
        link.acknowledge(got)
        assert (link.inbound_dropped, link.state.connects) == (0, 1)
    with connected(mqtt(mosquitto.port)) as link:
        assert none_waits(link)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_response_goes_to_the_topic_that_was_asked_for_with_its_correlation(
    mosquitto: Mosquitto, protocol: str
) -> None:
    subscriber = Subscriber(mosquitto.port, "mes/answers/#")
    subscriber.start()
    with connected(mqtt(mosquitto.port, protocol)) as link:
        link.respond("mes/answers/1", b'{"code":0}', b"\x00one")
        link.respond("mes/answers/+", b"cannot be sent", None)
        link.respond("mes/answers/2", b'{"code":1}', None)
        eventually(lambda: len(subscriber.received) == 2, "the responses arrive")
        assert link.state.connects == 1 and link.responses_lost == 1
    subscriber.stop()
    first, second = subscriber.received
    assert (first.topic, first.payload, first.retained) == ("mes/answers/1", b'{"code":0}', False)
    assert (second.topic, second.payload) == ("mes/answers/2", b'{"code":1}')
    if protocol == "5":
        assert (first.correlation_data, second.correlation_data) == (b"\x00one", None)
        assert first.content_type == "application/json"


def test_trap_7_a_response_over_the_brokers_limit_does_not_cost_the_connection(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "max_packet_size 5000")
    broker.start()
    subscriber = Subscriber(broker.port, TOPICS.rsp("ping"))
    subscriber.start()
    try:
        with connected(mqtt(broker.port)) as link:
            link.respond(TOPICS.rsp("ping"), b"x" * 5000, None)
            link.respond(TOPICS.rsp("ping"), b"short", None)
            eventually(lambda: subscriber.received, "the other arrives")
            assert [got.payload for got in subscriber.received] == [b"short"]
            assert link.state.connects == 1
    finally:
        subscriber.stop()
        broker.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_last_answer_to_a_command_waits_for_a_connection_and_how_far_it_has_come_does_not(
    mosquitto: Mosquitto, protocol: str
) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/rsp/+")
    subscriber.start()
    link = link_to(mqtt(mosquitto.port, protocol))
    link.acknowledge(Inbound(topic=PING, payload=b"", retained=False, token=1 << 16 | 1))  # does nothing
    link.respond(TOPICS.rsp("doctor"), b"under way", None, is_last=False)
    link.respond(TOPICS.rsp("doctor"), b"done", None)
    link.start()
    try:
        eventually(lambda: subscriber.received, "the answer arrives")
        mosquitto.kill()
        eventually(lambda: not link.state.connected, "the link is down")
        link.respond(TOPICS.rsp("ping"), b"later", None)
        mosquitto.start()
        eventually(lambda: len(subscriber.received) == 2, "the other arrives")
    finally:
        link.stop()
        subscriber.stop()
    assert [got.payload for got in subscriber.received] == [b"done", b"later"]
    assert link.responses_lost == 1


def test_answers_that_wait_for_a_connection_are_bounded() -> None:
    link = link_to(mqtt(1))
    for _ in range(sayings.WAITING + 5):
        link.respond(TOPICS.rsp("ping"), b"{}", None)
    assert link.responses_lost == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_subscription_is_in_the_state_with_a_remedy(tmp_path: Path, protocol: str) -> None:
    # Only a plugin refuses subscriptions; an ACL file grants them all and filters what it delivers.
    suback = {"5": bytes([0x90, 4, 0, 1, 0, 0x87]), "3.1.1": bytes([0x90, 3, 0, 1, 0x80])}[protocol]
    connack = {"5": CONNACK_5, "3.1.1": CONNACK_311}[protocol]
    with BadBroker(lambda connection: connack + suback, stays=True) as broker:
        link = link_to(mqtt(broker.port, protocol))
        link.start()
        try:
            eventually(lambda: "no commands" in link.state.reason, "the state says so")
            assert link.state.connected
            assert f"allow this station to read {TOPICS.commands()}" in link.state.reason
        finally:
            link.stop()


def test_a_message_without_a_proper_topic_is_acknowledged_unread_and_counted() -> None:
    nameless = bytes([0x32, 9, 0, 2, 0xFF, 0xFE, 0, 7, 0]) + b"{}"
    with BadBroker(lambda connection: CONNACK_5 + nameless, stays=True) as broker:
        link = link_to(mqtt(broker.port))
        link.start()
        try:
            eventually(lambda: link.inbound_dropped == 1, "it is counted")
            assert link.state.connected and link.inbound.empty()
        finally:
            link.stop()


def test_a_message_of_a_quality_that_was_not_asked_for_costs_the_connection() -> None:
    topic = PING.encode()
    body = len(topic).to_bytes(2, "big") + topic + bytes([0, 7, 0]) + b"{}"
    twice = bytes([0x34, len(body)]) + body + bytes([0x62, 2, 0, 7])  # PUBLISH of QoS 2, PUBREL
    with BadBroker(lambda connection: CONNACK_5 + twice, stays=True) as broker:
        link = link_to(mqtt(broker.port))
        link.start()
        try:
            eventually(lambda: "a message of QoS 2" in link.state.reason, "it is named")
            assert link.inbound.empty() and link.failure is None
        finally:
            link.stop()

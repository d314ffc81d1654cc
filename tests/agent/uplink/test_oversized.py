"""A packet over our limit ends the connection at its header: it is never in memory, nothing is held up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.contract.inbound import WAITING_BYTES
from agent.uplink.mqtt.bounded import HEADER_BYTES
from agent.uplink.mqtt.connection import INBOUND_BYTES
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.uplink.links import Impatient, connected, link_to, received
from tests.agent.uplink.picky_broker import PickyBroker
from tests.agent.uplink.stations import hears, mqtt, station
from tests.agent.uplink.test_inbound import PING, PROTOCOLS, Mes
from tests.brokers import DEADLINE_S, Mosquitto, Subscriber, eventually

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024


def length(number: int) -> bytes:
    """As a packet's header has it."""
    made = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        made.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(made)


def packet(kind: int, body_bytes: int, *, sent: int | None = None, protocol: str = "5") -> bytes:
    """A PUBLISH (0x30 to 0x3f) or anything else; of its body come `sent` bytes."""
    topic = PING.encode()
    start = len(topic).to_bytes(2, "big") + topic
    start += b"\x00\x07" if kind & 0x06 else b""
    start += b"\x00" if protocol == "5" else b""
    rest = body_bytes if sent is None else sent
    return bytes([kind]) + length(body_bytes) + start.ljust(rest, b"x")[:rest]


@contextmanager
def swallowing(port: int, protocol: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """A link in a process of its own, and what it last said of itself."""
    command = [sys.executable, "-m", "tests.agent.uplink.swallowing", str(port), protocol]
    said: list[dict[str, Any]] = [{}]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        stdout = child.stdout

        def read() -> None:
            for line in stdout:
                said.append(json.loads(line))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lambda: said[-1]
        finally:
            child.stdin.close()
            try:
                child.wait(DEADLINE_S)  # read to its end, or it would wait with a full pipe
            finally:
                child.kill()
                reader.join(DEADLINE_S)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [0x30, 0x32, 0x34, 0x31, 0x20, 0x40, 0x90, 0xB0, 0xD0, 0xE0, 0xF0])
@pytest.mark.parametrize("announced", [INBOUND_BYTES - HEADER_BYTES + 1, 256 * MIB - 1])
def test_any_packet_that_announces_more_than_we_take_ends_the_connection_before_it_comes(
    protocol: str, kind: int, announced: int
) -> None:
    broker = PickyBroker()
    sent: list[bytes] = [packet(kind, announced, sent=0)]
    broker.after_subscribe = lambda: sent.pop() if sent else b""
    with broker:
        link = link_to(mqtt(broker.port, protocol), Impatient())
        link.start()
        try:
            eventually(lambda: link.state.oversized, "it is noticed")
            assert f"at most {INBOUND_BYTES} are taken" in str(link.state.oversized)
            eventually(lambda: link.state.connected and link.state.connects == 2, "it is connected again")
            assert (link.inbound_dropped, link.inbound.qsize(), link.failure) == (1, 0, None)
        finally:
            link.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("from_its_end", range(12))
def test_a_header_that_comes_in_two_pieces_is_a_header(protocol: str, from_its_end: int) -> None:
    broker = PickyBroker()
    sent = [packet(0x32, 256 * MIB - 1, sent=0)]
    broker.after_subscribe = lambda: sent.pop() if sent else b""
    broker.pieces = lambda whole: [whole[: len(whole) - from_its_end], whole[len(whole) - from_its_end :]]
    with broker:
        link = link_to(mqtt(broker.port, protocol), Impatient())
        link.start()
        try:
            eventually(lambda: link.state.oversized, "it is noticed")
            eventually(lambda: link.state.connected and link.state.connects == 2, "it is connected again")
        finally:
            link.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_packet_as_large_as_we_take_is_taken(protocol: str) -> None:
    broker = PickyBroker()
    whole = packet(0x32, INBOUND_BYTES - HEADER_BYTES, protocol=protocol)
    broker.after_subscribe = lambda: whole
    with broker:
        link = link_to(mqtt(broker.port, protocol))
        link.start()
        try:
            got = received(link)
            assert len(got.payload) > INBOUND_BYTES - 200
            assert (link.state.connects, link.state.oversized) == (1, None)
        finally:
            link.stop()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_broker_that_streams_64_megabytes_is_not_read(protocol: str) -> None:
    broker = PickyBroker()
    left = [2]

    def flood() -> bytes:
        left[0] -= 1
        return packet(0x32, 64 * MIB)

    broker.after_subscribe = flood
    with broker, swallowing(broker.port, protocol) as told:
        eventually(lambda: told().get("oversized"), "it is noticed")
        eventually(lambda: told()["connected"] and told()["connects"] == 3, "it is back, and asks no more")
        assert told()["grown_bytes"] < 16 * MIB
        assert told()["dropped"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("retained", [False, True])
def test_64_megabytes_through_a_mosquitto_of_mqtt_3_1_1_hold_nothing_up(
    tmp_path: Path, retained: bool
) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "persistence false")
    broker.start()
    mes = Mes(broker.port)
    try:
        with swallowing(broker.port, "3.1.1") as told:
            eventually(lambda: told().get("connected"), "it is connected")
            mes.send(b"x" * 64 * MIB, qos=0 if retained else 1, retain=retained)
            eventually(lambda: told().get("oversized"), "it is noticed")
            before = told()["connects"]
            eventually(lambda: told()["connected"] and told()["connects"] > before, "it is connected again")
            assert told()["grown_bytes"] < 16 * MIB
        subscriber = Subscriber(broker.port, f"{TOPICS.prefix}/verdict/#")
        subscriber.start()
        one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port, "3.1.1"), Impatient())
        one.start()
        one.outbox.append([verdict(number) for number in range(1, 50)]).result(DEADLINE_S)
        one.deliver_all()
        eventually(lambda: len(subscriber.received) >= 49, "verdicts arrive")
        eventually(lambda: one.link.state.connected, "it stays connected")
        assert one.link.state.connects <= 4
        if retained:  # it comes with every subscription, so that none is made for a while
            eventually(lambda: "no commands" in one.link.state.reason, "the state says so")
        one.stop()
        subscriber.stop()
    finally:
        mes.stop()
        broker.stop()


def test_a_command_that_was_too_large_is_left_behind_with_its_session(
    mosquitto: Mosquitto,
) -> None:
    mes = Mes(mosquitto.port)
    with connected(mqtt(mosquitto.port, "3.1.1"), Impatient()) as link:
        mes.send(b"x" * (INBOUND_BYTES + 1))
        eventually(lambda: link.state.connects == 2 and link.state.connected, "it is connected again")
        eventually(lambda: hears(link), "and subscribed")
        mes.send(b"afterwards")
        got = received(link)
        assert got.payload == b"afterwards"
        link.acknowledge(got)
        assert "the commands that waited" in str(link.state.oversized)
        assert link.inbound_dropped == 1
    mes.send(b"while it is away")
    with connected(mqtt(mosquitto.port, "3.1.1")) as link:
        assert received(link).payload == b"while it is away"
    mes.stop()


@pytest.mark.parametrize("qos", [0, 1])
def test_many_packets_of_medium_size_are_bounded_together(qos: int) -> None:
    broker = PickyBroker()
    size, count = 200_000, 200
    left = [1]

    def flood() -> bytes:
        left[0] -= 1
        return packet(0x30 | qos << 1, size, protocol="3.1.1") * count if left[0] >= 0 else b""

    broker.after_subscribe = flood
    with broker:
        link = link_to(mqtt(broker.port, "3.1.1"))
        link.start()
        try:
            eventually(lambda: link.inbound_refused + link.inbound.qsize() == count, "all are told apart")
            assert link.inbound.qsize() * size <= WAITING_BYTES
            assert link.state.connects == 1
        finally:
            link.stop()


def test_a_broker_that_sends_what_it_never_releases_is_not_believed() -> None:
    broker = PickyBroker()
    broker.after_subscribe = lambda: packet(0x34, 10_000) * 50
    with broker:
        link = link_to(mqtt(broker.port))
        link.start()
        try:
            eventually(lambda: "QoS 2" in link.state.reason, "the reason is told")
            assert link.failure is None
        finally:
            link.stop()

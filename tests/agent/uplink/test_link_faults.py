"""Nothing that comes over the wire or out of a callback ends the network thread (traps 4, 9 and 14)."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from agent.contract.inbound import WAITING
from agent.uplink.mqtt.carrier import Carrier
from agent.uplink.mqtt.connection import NOTICED_WITHIN
from agent.uplink.mqtt.link import LOOP_S
from agent.uplink.uplink import HANG_S
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.uplink.bad_broker import CONNACK_5, CONNACK_311, BadBroker
from tests.agent.uplink.links import Impatient, link_to
from tests.agent.uplink.stations import mqtt, station, status
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Subscriber, eventually
from tests.lived import living

CONNECTIONS = 400
KEEPALIVE_S = 5  # the shortest that settings allow
SCHEDULING_S = 2.0  # on a machine that is busy with other things


def packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


COMMAND = text(TOPICS.cmd("ping").encode())
RIGHT = [
    CONNACK_5,
    packet(0x20, b"\x00\x00\x08" + b"\x21\x00\x05" + b"\x27\x00\x00\x10\x00"),  # CONNACK with limits
    packet(0x40, b"\x00\x01\x00\x00"),  # PUBACK
    packet(0x90, b"\x00\x01\x00\x01"),  # SUBACK
    packet(0x32, COMMAND + b"\x00\x07\x00" + b"{}"),  # PUBLISH, QoS 1
    packet(0x34, COMMAND + b"\x00\x08\x00" + b"{}"),  # PUBLISH, QoS 2
    packet(0x30, text(b"\xff\xfe") + b"\x00" + b"no topic"),
    packet(0x62, b"\x00\x08"),  # PUBREL
    packet(0x50, b"\x00\x09"),  # PUBREC
    packet(0x70, b"\x00\x09"),  # PUBCOMP
    packet(0xB0, b"\x00\x09\x00\x00"),  # UNSUBACK
    packet(0xC0, b""),  # PINGREQ
    packet(0xD0, b""),  # PINGRESP
    packet(0xE0, b"\x82\x00"),  # DISCONNECT
    packet(0xF0, b"\x18\x00"),  # AUTH
]


def malformed(connack: bytes, seed: int) -> bytes:
    """What a broken or hostile broker may send; every third conversation goes wrong before its CONNACK."""
    rng = random.Random(seed)
    spoilt = bytearray()
    for _ in range(rng.randrange(1, 5)):
        one = bytearray(rng.choice(RIGHT))
        for _ in range(rng.randrange(4)):
            match rng.randrange(4):
                case 0 if one:
                    one[rng.randrange(len(one))] = rng.randrange(256)
                case 1:
                    one[rng.randrange(len(one) + 1) :] = b""
                case 2:
                    one.insert(rng.randrange(len(one) + 1), rng.randrange(256))
                case _:
                    one += rng.randbytes(rng.randrange(16))
        spoilt += one
    if rng.randrange(4) == 0:
        spoilt = bytearray(rng.randbytes(rng.randrange(1, 200)))
    return (connack if seed % 3 else b"") + bytes(spoilt)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "connack"), [("5", CONNACK_5), ("3.1.1", CONNACK_311)])
def test_trap_14_four_hundred_connections_of_malformed_frames_cost_only_themselves(
    tmp_path: Path, protocol: str, connack: bytes
) -> None:
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    with BadBroker(lambda connection: malformed(connack, connection)) as bad:
        mosquitto.port = bad.port
        one = station(tmp_path / "outbox.sqlite3", mqtt(bad.port, protocol), Impatient(1))
        one.start()
        one.link.publish_status(status("online"))
        one.outbox.append([verdict(number) for number in range(1, 21)]).result(DEADLINE_S)
        eventually(lambda: bad.connections >= CONNECTIONS or one.link.failure, "it was let down often enough")
    try:
        assert one.link.failure is None and one.courier.failure is None
        mosquitto.start()
        subscriber = Subscriber(mosquitto.port, TOPICS.verdict("top"))
        subscriber.start()
        rows = [verdict(number) for number in range(21, 41)]
        one.outbox.append(rows).result(DEADLINE_S)
        sent = {row.payload for row in rows}
        eventually(lambda: sent <= {got.content for got in subscriber.received}, "all arrived")
        # A row that was alone on its way at the last three ends is aside for ten minutes.
        eventually(
            lambda: one.outbox.depth().rows == sum(row.quarantined for row in one.courier.state.refused),
            "nothing waits but what is in quarantine",
        )
        subscriber.stop()
        assert one.link.state.connected
        assert one.link.inbound.qsize() <= WAITING
    finally:
        one.stop()
        mosquitto.stop()


def test_trap_4_an_exception_in_a_callback_costs_the_connection_and_nothing_else(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged = Carrier.note_ack
    left = [3]

    def spoilt(self: Carrier, *arguments: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("a bug in a callback")
        acknowledged(self, *arguments)

    monkeypatch.setattr(Carrier, "note_ack", spoilt)
    one = station(tmp_path / "outbox.sqlite3", mqtt(mosquitto.port), Impatient(1))
    one.start()
    try:
        one.outbox.append([verdict(1), verdict(2)]).result(DEADLINE_S)
        one.deliver_all()
        assert left[0] < 0
        assert one.link.state.connects == 4
        assert one.link.failure is None
    finally:
        one.stop()


def test_trap_4_a_broker_that_never_answers_connect_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.uplink.mqtt.link.ANSWER_TIMEOUT_S", 0.5)
    with BadBroker(lambda connection: b"", stays=True) as mute:
        link = link_to(mqtt(mute.port))
        link.start()
        try:
            eventually(lambda: "no answer in time" in link.state.reason, "it is given up")
            assert f"{HOST}:{mute.port}" in link.state.reason
        finally:
            link.stop()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("busy", [True, False])
def test_trap_9_a_half_open_link_is_noticed_within_one_and_a_half_keepalives(
    tmp_path: Path, mosquitto: Mosquitto, protocol: str, busy: bool
) -> None:
    one = station(tmp_path / "outbox.sqlite3", mqtt(mosquitto.port, protocol, keepalive_s=KEEPALIVE_S))
    one.start()
    try:
        one.outbox.append([verdict(1)]).result(DEADLINE_S)
        one.deliver_all()
        mosquitto.freeze()
        sequence = 1
        with living() as unnoticed:
            while one.link.state.connected:
                if busy:
                    sequence += 1
                    one.outbox.append([verdict(sequence)]).result(DEADLINE_S)
                time.sleep(0.05)
        assert unnoticed.seconds <= NOTICED_WITHIN * KEEPALIVE_S + LOOP_S + SCHEDULING_S
        mosquitto.kill()
        mosquitto.start()
        one.outbox.append([verdict(sequence + 1)]).result(DEADLINE_S)
        one.deliver_all()
        assert one.link.state.connects == 2
    finally:
        one.stop()


def test_trap_5_publishing_from_four_threads_while_acknowledgements_come_does_not_lock_up(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    one = station(tmp_path / "outbox.sqlite3", mqtt(mosquitto.port))
    one.start()
    try:
        eventually(lambda: one.link.state.connected, "it is connected")
        one.outbox.append([verdict(number) for number in range(1, 501)]).result(DEADLINE_S)
        while one.outbox.depth().rows:
            one.link.publish_metrics(b"{}")
            one.link.publish_status(status("online", str(time.monotonic_ns())))
            one.link.respond(TOPICS.rsp("ping"), b"{}", None)
            time.sleep(0.001)
        assert one.link.silent_s() < HANG_S
        assert one.link.state.connects == 1
    finally:
        one.stop()

"""The embedded broker carries MQTT 5 with user properties, on loopback, and dies with its parent."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.demo.broker import BrokerError, EmbeddedBroker
from tests.agent.outbox.rows import TOPICS, crop, verdict
from tests.agent.uplink.stations import mqtt, station
from tests.brokers import DEADLINE_S, HOST, Subscriber, eventually

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from agent.demo.broker import EmbeddedBroker
broker = EmbeddedBroker()
broker.start()
print(broker.port, flush=True)
time.sleep(600)
"""


def test_crops_with_their_properties_pass_through(tmp_path: Path) -> None:
    broker = EmbeddedBroker()
    broker.start()
    subscriber = Subscriber(broker.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    one = station(tmp_path / "outbox.sqlite3", mqtt(broker.port, "auto"))
    one.start()
    try:
        rows = [verdict(1), crop(1, 120_000), verdict(2)]
        one.outbox.append(rows).result(DEADLINE_S)
        eventually(lambda: len(subscriber.received) == 3, "all arrive")
        assert one.link.state.protocol == "5"
        got = {(one.content, one.own_properties, one.content_type) for one in subscriber.received}
        assert got == {(row.payload, row.properties, row.content_type) for row in rows}
    finally:
        one.stop()
        subscriber.stop()
        broker.stop()


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"{port}: the port is taken.*choose another"):
            EmbeddedBroker(port).start()


def test_it_listens_on_loopback_only() -> None:
    broker = EmbeddedBroker()
    broker.start()
    try:
        everywhere = f"00000000:{broker.port:04X}"
        assert everywhere not in Path("/proc/net/tcp").read_text(encoding="ascii")
        assert f"0100007F:{broker.port:04X}" in Path("/proc/net/tcp").read_text(encoding="ascii")
    finally:
        broker.stop()


def test_it_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert accepts(port)
        parent.kill()
    eventually(lambda: not accepts(port), "the port is free again")


def accepts(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False

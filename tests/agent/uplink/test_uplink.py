"""The uplink as a whole: what goes wrong becomes an event and words, every way out gets every row."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from paho.mqtt import publish

from agent.clock import SystemClock, new_uuid7
from agent.contract.payloads import cloud_event
from agent.contract.row import Row, Waiting
from agent.outbox.database import Database
from agent.remote.commands.admission import turn_away
from agent.settings.gateways import FolderGateway
from agent.settings.settings import Delivery, Identity, Settings
from agent.settings.settings import Outbox as OutboxSettings
from agent.uplink.courier import Courier
from agent.uplink.make import make_uplink
from agent.uplink.mqtt.connection import INBOUND_BYTES
from agent.uplink.uplink import Uplink
from tests.agent.outbox.rows import TOPICS, crop, verdict
from tests.agent.uplink.stations import hears, mqtt, status
from tests.brokers import DEADLINE_S, HOST, Mosquitto, Received, Subscriber, eventually
from tests.faults.proxy import FaultProxy


def settings(path: Path, port: int, protocol: str = "5", **others: object) -> Settings:
    return Settings.model_validate(
        {
            "identity": Identity(site="site", area="area", line="line", station="station"),
            "mqtt": mqtt(port, protocol),
            "outbox": OutboxSettings(path=path, min_free_bytes=0),
            **others,
        }
    )


def built(path: Path, port: int, protocol: str = "5", **others: object) -> Uplink:
    return built_of(settings(path, port, protocol, **others))


def built_of(wanted: Settings) -> Uplink:
    clock = SystemClock()
    return make_uplink(
        wanted,
        boot_id="boot",
        last_will=status("offline"),
        clock=clock,
        new_id=lambda: new_uuid7(clock),
        turn_away=turn_away,
        bind=lambda wanted, arrived_ns: (),
    )


@pytest.fixture
def subscriber(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    one = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    one.start()
    yield one
    one.stop()


def dated(row: Row) -> Row:
    """With all that a station's rows have."""
    attributes = cloud_event(TOPICS, row.id, f"plumbline.{row.kind}/1", "2026-11-24T12:00:00.000Z")
    own = [pair for pair in row.properties if pair[0] != "id"]
    return dataclasses.replace(row, properties=(*own, ("result_id", row.id), *attributes))


def events_at(subscriber: Subscriber) -> list[str]:
    messages = [json.loads(got.payload) for got in subscriber.received if got.topic == TOPICS.event()]
    return [message["event"] for message in messages]


def test_every_way_out_gets_every_row(tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber) -> None:
    folder = FolderGateway(kind="folder", name="archive", path=tmp_path / "archive")
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port, gateways=(folder,))
    one.start()
    one.outbox.append([dated(row) for row in (verdict(1), crop(1), verdict(2))]).result(DEADLINE_S)
    eventually(lambda: one.gateways[0].state.last_seq == 3, "the folder has all")
    eventually(lambda: one.outbox.depth().rows == 0, "the broker has all")
    one.watch()
    assert one.words() == ()
    one.stop(status("stopped"))
    lines = [
        line for path in (tmp_path / "archive").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert len(lines) == 2


def test_a_gateway_that_fails_is_told_and_told_again_when_it_is_well(
    tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    target = tmp_path / "archive"
    target.write_text("in the way")
    folder = FolderGateway(kind="folder", name="archive", path=target)
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port, gateways=(folder,))
    one.start()
    one.outbox.append([dated(verdict(1))]).result(DEADLINE_S)
    eventually(lambda: one.watch() and one.words(), "it is failing")
    assert one.words()[0].startswith("gateway archive: ")
    target.unlink()
    eventually(lambda: one.watch() and not one.words(), "it is well")
    eventually(lambda: events_at(subscriber) == ["gateway_failing", "gateway_recovered"], "both are told")
    one.stop(status("stopped"))


def test_verdicts_that_nobody_hears_are_told_as_an_event(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.uplink.make.Courier", partial(Courier, retry_pause_s=0.5))
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port, delivery=Delivery(require_subscriber=True))
    one.start()
    one.outbox.append([verdict(1)]).result(DEADLINE_S)
    eventually(lambda: one.courier.state.heard is False, "the broker has said so")
    one.watch()
    assert "nobody is subscribed" in one.words()[0]
    assert one.outbox.depth().kinds["verdict"] == 1
    late = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#", "late")
    late.start()
    eventually(lambda: one.outbox.depth().rows == 0, "it is delivered once somebody listens")
    eventually(lambda: [got for got in late.received if "verdict" in got.topic], "it has arrived")
    assert [json.loads(got.payload)["sequence"] for got in late.received if "verdict" in got.topic] == [1]
    one.stop(status("stopped"))
    late.stop()


def test_a_damaged_outbox_is_told_with_the_place_it_was_moved_to(
    tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    path = tmp_path / "outbox.sqlite3"
    path.write_bytes(b"not a database" * 1000)
    one = built(path, mosquitto.port)
    one.start()
    eventually(lambda: events_at(subscriber) == ["outbox_set_aside"], "it is told")
    one.stop(status("stopped"))
    assert len(list(tmp_path.glob("outbox.sqlite3.damaged-*"))) == 1


def test_a_replay_arrives_flagged_beside_new_verdicts(
    tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port)
    one.start()
    one.outbox.append([verdict(number) for number in range(1, 51)]).result(DEADLINE_S)
    eventually(lambda: one.outbox.depth().rows == 0, "all are delivered")
    assert one.keeper.replay(11, 30).queued == 20
    eventually(lambda: one.outbox.depth().replaying == 0 and len(subscriber.received) == 70, "all again")
    again = flagged(subscriber)
    assert [json.loads(got.payload)["sequence"] for got in again] == list(range(11, 31))
    assert all(json.loads(got.payload)["replayed"] is True for got in again)
    one.stop(status("stopped"))


def test_what_a_broker_lacks_is_told_once_as_an_event_and_delivery_goes_on(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", "retain_available false")
    broker.start()
    subscriber = Subscriber(broker.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    network = FaultProxy(broker.port)
    network.start()
    one = built(tmp_path / "outbox.sqlite3", network.port)
    one.start()
    try:
        eventually(lambda: one.watch() and one.lacks(), "it is known")
        eventually(lambda: one.watch() and events_at(subscriber) == ["broker_limited"], "it is told")
        eventually(lambda: not one.outbox.depth().rows, "and acknowledged: else it may arrive once more")
        network.reset()
        eventually(lambda: one.link.state.connects >= 2 and one.watch(), "it is back")
        one.watch()
        one.outbox.append([verdict(1)]).result(DEADLINE_S)
        eventually(lambda: not one.outbox.depth().rows, "all is delivered")
        assert events_at(subscriber) == ["broker_limited"]
        assert one.words() == (), "the station does its work"
    finally:
        one.stop(status("stopped"))
        network.stop()
        subscriber.stop()
        broker.stop()


def test_a_packet_over_our_limit_is_told_as_an_event(
    tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber
) -> None:
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port, "3.1.1")
    one.start()
    eventually(lambda: hears(one.link), "it hears commands")
    publish.single(TOPICS.cmd("ping"), b"x" * (INBOUND_BYTES + 1), hostname=HOST, port=mosquitto.port)
    eventually(lambda: one.watch() and events_at(subscriber), "it is told")
    # A broker that had the packet half sent sends it again over the next connection.
    assert events_at(subscriber) in (["inbound_oversized"], ["inbound_oversized", "broker_limited"])
    assert f"at most {INBOUND_BYTES} are taken" in one.words()[0]
    one.stop(status("stopped"))


def flagged(subscriber: Subscriber) -> list[Received]:
    return [got for got in subscriber.received if ("replayed", "true") in got.properties]


def test_a_gateway_in_the_middle_of_a_delivery_does_not_crash_a_stop(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is closed while another thread works on it is a segmentation fault."""
    monkeypatch.setattr("agent.gateways.gateway.STOP_S", 0.1)
    folder = FolderGateway(kind="folder", name="archive", path=tmp_path / "archive")
    connections: list[sqlite3.Connection] = []
    connect = Database.connect

    def kept(database: Database, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
        connections.append(connect(database, synchronous))
        return connections[-1]

    monkeypatch.setattr(Database, "connect", kept)
    one = built(tmp_path / "outbox.sqlite3", mosquitto.port, gateways=(folder,))
    (cursor,) = one.cursors
    connection = connections[-1]  # the cursor's
    busy, released = threading.Event(), threading.Event()
    connection.create_function("until_released", 0, lambda: released.wait(DEADLINE_S))

    def slow(limit: int) -> tuple[Waiting, ...]:
        busy.set()
        connection.execute("SELECT until_released()").fetchone()
        return ()

    monkeypatch.setattr(cursor, "next", slow)
    one.start()
    assert busy.wait(DEADLINE_S)
    one.stop(status("stopped"))
    assert one.gateways[0].left_behind
    released.set()
    eventually(lambda: "gateway-archive" not in {one.name for one in threading.enumerate()}, "it is done")
    assert one.gateways[0].failure is None
    cursor.close()

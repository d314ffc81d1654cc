"""Every committed row reaches an independent subscriber, whatever becomes of the broker meanwhile."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from agent.contract.row import Row
from tests.agent.outbox.rows import TOPICS, crop, event, verdict
from tests.agent.uplink.stations import mqtt, station
from tests.brokers import Mosquitto, Received, Subscriber, eventually


def rows_of(number: int) -> list[Row]:
    """One append: each has a verdict, every fifth a crop, every tenth an event."""
    return [
        verdict(number),
        *([crop(number)] if number % 5 == 0 else []),
        *([event(number)] if number % 10 == 0 else []),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_rows_committed_are_rows_received_through_absence_death_and_restart_of_the_broker(
    tmp_path: Path, mosquitto: Mosquitto, protocol: str
) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    mosquitto.stop()
    one = station(tmp_path / "outbox.sqlite3", mqtt(mosquitto.port, protocol))
    one.start()
    committed: list[Row] = []

    def append(first: int, last: int) -> None:
        for number in range(first, last + 1):
            rows = rows_of(number)
            one.outbox.append(rows).result()
            committed.extend(rows)

    append(1, 60)  # no broker yet
    eventually(lambda: "connection refused" in one.link.state.reason, "the state says why")
    mosquitto.start()
    one.deliver_all()
    eventually(lambda: arrived(committed, subscriber), "all arrived")

    mosquitto.freeze()  # takes packets, answers none
    append(61, 120)
    eventually(lambda: one.courier.state.in_flight, "rows are under way")
    mosquitto.kill()
    append(121, 160)
    mosquitto.start()
    appender = threading.Thread(target=append, args=(161, 300))
    appender.start()
    eventually(lambda: len(subscriber.received) > 200, "the new rows flow")
    mosquitto.stop()
    appender.join()
    mosquitto.start()
    one.deliver_all()

    eventually(lambda: arrived(committed, subscriber), "all arrived")
    one.stop()
    subscriber.stop()
    messages = [got for got in subscriber.received if got.topic in {row.topic for row in committed}]
    assert {(got.topic, got.content) for got in messages} == {(row.topic, row.payload) for row in committed}
    assert one.link.state.connects >= 3
    for topic in {row.topic for row in committed}:
        first_seen = list(dict.fromkeys(got.content for got in messages if got.topic == topic))
        assert first_seen == [row.payload for row in committed if row.topic == topic]
    crops = [row for row in committed if row.kind == "crop"]
    if protocol == "5":
        assert all(got.content_type for got in messages)
        assert properties_by_payload(messages, crops) == {row.payload: row.properties for row in crops}
    else:
        headers = [got for got in subscriber.received if got.topic == TOPICS.crop_header("top")]
        assert {json.loads(got.payload)["crop_id"] for got in headers} == {row.id for row in crops}
        flow = [got.topic for got in subscriber.received if "/crop" in got.topic]
        assert flow[:2] == [TOPICS.crop_header("top"), TOPICS.crop("top")]


def arrived(rows: list[Row], subscriber: Subscriber) -> bool:
    received = {(got.topic, got.content) for got in subscriber.received}
    return {(row.topic, row.payload) for row in rows} <= received


def properties_by_payload(
    messages: list[Received], rows: list[Row]
) -> dict[bytes, tuple[tuple[str, str], ...]]:
    payloads = {row.payload for row in rows}
    return {got.payload: got.own_properties for got in messages if got.payload in payloads}

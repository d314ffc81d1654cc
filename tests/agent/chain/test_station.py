"""A whole station says its signed chain to the broker and to a folder, and works on where it cannot sign."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.chain.heads import checker
from agent.chain.notary import key_file
from agent.chain.report import verify
from agent.clock import SystemClock, new_uuid7
from agent.contract.chain import parted
from agent.contract.row import Row
from agent.outbox.file import FullError
from agent.remote.commands.admission import turn_away
from agent.settings.gateways import FolderGateway
from agent.trust.private_keys import station_public_key
from agent.uplink.make import make_uplink
from agent.uplink.uplink import Uplink
from tests.agent.chain.made import verdict_payload
from tests.agent.outbox.rows import TOPICS, verdict
from tests.agent.uplink.stations import status
from tests.agent.uplink.test_uplink import dated, events_at, settings
from tests.brokers import DEADLINE_S, Mosquitto, Received, Subscriber, eventually


def built(path: Path, port: int, **others: object) -> Uplink:
    clock = SystemClock()
    return make_uplink(
        settings(path, port, **others),
        boot_id="boot",
        last_will=status("offline"),
        clock=clock,
        new_id=lambda: new_uuid7(clock),
        turn_away=turn_away,
        bind=lambda wanted, arrived_ns: (),
        key=key_file(path),
    )


def judged(sequence: int) -> Row:
    return dated(dataclasses.replace(verdict(sequence), payload=verdict_payload(sequence)))


def heads(subscriber: Subscriber) -> list[Received]:
    return [got for got in subscriber.received if got.topic == TOPICS.head()]


def test_the_broker_and_a_folder_have_the_chain_and_its_signed_end(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    path = tmp_path / "outbox.sqlite3"
    folder = FolderGateway(kind="folder", name="archive", path=tmp_path / "archive")
    one = built(path, mosquitto.port, gateways=(folder,))
    one.start()
    one.outbox.append([judged(1), judged(2)]).result(DEADLINE_S)
    eventually(lambda: one.outbox.depth().rows == 0, "all are delivered")
    one.stop(status("stopped"))
    eventually(lambda: len(heads(subscriber)) == 2, "one at the beginning, one at the stop")
    subscriber.stop()
    key = station_public_key(key_file(path))
    check = checker([key])
    assert [check(got.content).reason for got in heads(subscriber)] == ["begun", "stop"]
    places = sorted(
        place.number for got in subscriber.received if (place := parted(got.payload)[1]) is not None
    )
    assert places == [1, 2, 3, 4]
    for place in (path, tmp_path / "archive"):
        report = verify(place, keys=[key])
        assert report.first_break is None and report.segments[0].proven_to == 3, place
    late = Subscriber(mosquitto.port, TOPICS.head())
    late.start()
    eventually(lambda: heads(late), "the newest stands at the broker")
    late.stop()
    assert check(heads(late)[0].content).reason == "stop" and len(heads(late)) == 1


def test_a_key_that_cannot_be_used_is_told_and_stops_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    path = tmp_path / "outbox.sqlite3"
    key_file(path).write_text("no key")
    key_file(path).chmod(0o600)
    one = built(path, mosquitto.port)
    one.start()
    one.outbox.append([judged(1)]).result(DEADLINE_S)
    one.watch()
    assert any(str(key_file(path)) in words for words in one.words())
    eventually(lambda: events_at(subscriber) == ["chain_unsigned"], "it is told")
    eventually(lambda: one.outbox.depth().rows == 0, "all are delivered")
    one.stop(status("stopped"))
    subscriber.stop()
    assert heads(subscriber) == [] and key_file(path).read_text() == "no key"
    report = verify(path)
    assert report.first_break is None and report.segments[0].heads == 0


def test_a_disk_that_takes_no_head_at_the_stop_ends_nothing_else(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    path = tmp_path / "outbox.sqlite3"
    one = built(path, mosquitto.port)
    one.start()
    one.outbox.append([judged(1)]).result(DEADLINE_S)
    eventually(lambda: one.outbox.depth().rows == 0, "all are delivered")

    def full() -> None:
        raise FullError("the disk is full")

    monkeypatch.setattr(one.notary, "stop", full)
    one.stop(status("stopped"))
    eventually(
        lambda: [got for got in subscriber.received if got.topic == TOPICS.status()], "it says goodbye"
    )
    subscriber.stop()
    assert verify(path, keys=[station_public_key(key_file(path))]).first_break is None


def test_an_older_copy_of_the_outbox_is_told_and_works_on(tmp_path: Path, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port, f"{TOPICS.prefix}/#")
    subscriber.start()
    path = tmp_path / "outbox.sqlite3"
    copies = []
    for sequence in (1, 2):
        one = built(path, mosquitto.port)
        one.start()
        one.outbox.append([judged(sequence)]).result(DEADLINE_S)
        one.stop(status("stopped"))
        copies.append(path.read_bytes())
    for file in tmp_path.glob("outbox.sqlite3-*"):
        file.unlink()
    path.write_bytes(copies[0])
    one = built(path, mosquitto.port)
    one.start()
    eventually(lambda: "outbox_older" in events_at(subscriber), "it is told")
    one.stop(status("stopped"))
    subscriber.stop()
    assert verify(path, keys=[station_public_key(key_file(path))]).first_break is None

"""Rollouts through a real mosquitto: what the office hears, what stands there, and connections that break."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.fleet.hall import FILTERS
from models.fleet.plan import Record
from models.fleet.wire import Wire, WireError
from tests.agent.uplink.stations import mqtt
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.fleet.crowd import Crowd
from tests.fleet.real import CLOCK, Desk, stations
from tests.fleet.station import Cues
from tests.fleet.world import NEW, NEWER, decoded, topics


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "mosquitto")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def crowd(broker: Mosquitto) -> Iterator[Crowd]:
    one = Crowd(broker.port, stations(30))
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_rollout_in_waves_and_the_next_one(
    broker: Mosquitto, crowd: Crowd, tmp_path: Path, protocol: str
) -> None:
    desk = Desk(broker.port, crowd, tmp_path / "state", protocol)
    assert desk.bundle(NEW).state == "finished"
    assert desk.bundle(NEWER, "10", "rest").state == "finished"
    desk.wire.close()
    assert {one.bundle.id for one in crowd.stations} == {"newer"}
    assert all(one.installs == [NEW.sha256, NEWER.sha256] for one in crowd.stations)


def test_what_stopped_stands_on_no_topic_for_anybody_who_connects(broker: Mosquitto, tmp_path: Path) -> None:
    crowd = Crowd(broker.port, stations(10, {0: Cues(fails={NEW.sha256: "probation"})}))
    crowd.start()
    desk = Desk(broker.port, crowd, tmp_path / "state")
    assert desk.bundle(NEW, "3", "rest").state == "stopped"
    desk.wire.close()
    late = Subscriber(broker.port, "plumbline/v1/+/+/+/+/bundle/desired", "late")
    late.start()
    before = topics(0).desired("bundle")
    eventually(
        lambda: before in {one.topic for one in late.received}, "what was before, with a higher counter"
    )
    late.stop()
    crowd.stop()
    told = {one.topic for one in late.received}
    assert all(NEW.sha256.encode() not in decoded(one.payload) for one in late.received)
    kept = [one for one in crowd.stations if one.bundle == NEW]
    assert not {one.topics.desired("bundle") for one in kept} & told


def test_a_broker_that_goes_away_in_the_middle_costs_time_only(
    broker: Mosquitto, crowd: Crowd, tmp_path: Path
) -> None:
    for one in crowd.stations:
        one.cues.ticks = 30
    desk = Desk(broker.port, crowd, tmp_path / "state")
    done: list[Record] = []
    thread = threading.Thread(target=lambda: done.append(desk.bundle(NEW, "5", "rest")))
    thread.start()
    eventually(lambda: any(one._record.state != "idle" for one in crowd.stations), "it is under way")
    broker.stop()
    broker.start()
    thread.join(60)
    desk.wire.close()
    assert done and done[0].state == "finished"
    assert {one.bundle.id for one in crowd.stations} == {"new"}


def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    wire = Wire(
        mqtt(1), issuer="office", filters=FILTERS, note=lambda *_: None, clock=CLOCK, rng=random.Random(1)
    )
    with pytest.raises(WireError, match="connection refused; check mqtt"):
        wire.turn(0.1)


def test_what_was_retained_before_is_heard_before_it_is_ready(
    broker: Mosquitto, crowd: Crowd, tmp_path: Path
) -> None:
    desk = Desk(broker.port, crowd, tmp_path / "state")
    desk.connect()
    desk.wire.close()
    seen = desk.hall.stations.values()
    assert len(seen) == 30 and all(one.is_online and one.report is not None for one in seen)

"""What stations say is taken as it comes: what is no report, or of another, or late, changes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fleet.hall import Hall, highest_reported
from models.fleet.inventory import stations_of
from tests.fleet.world import OLD, World, inventory_of, world

NOW = 1000.0


def heard(plant: World) -> Hall:
    hall = Hall(inventory=inventory_of(plant.stations))
    plant.office(hall)
    return hall


PLANT = world(2)
TOPICS = [
    topic
    for one in PLANT.stations
    for topic in (
        one.topics.status(),
        one.topics.reported(),
        one.topics.desired("config"),
        one.topics.desired("bundle"),
        one.topics.verdict("top"),
    )
]


@given(st.sampled_from(TOPICS), st.binary(max_size=200))
def test_no_bytes_on_any_topic_end_the_office(topic: str, payload: bytes) -> None:
    hall = heard(PLANT)
    hall.note(topic, payload, NOW)
    for target in stations_of(hall.inventory, ["all"]):
        hall.of_station(target.stations[0], "bundle")
        hall.is_foreign(target, "settings", "office", 1, (), 5)


def test_an_office_that_connects_hears_who_is_there_and_what_runs() -> None:
    hall = heard(world(3))
    found = [hall.of_station(one, "bundle") for one in hall.inventory.stations]
    assert [one.is_online for one in found] == [True] * 3
    assert [one.runs for one in found] == [OLD.sha256] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"station": "another"},
        {"sequence": 0},
        {"sequence": "many"},
        {"settings": None},
        {"bundle": {"active": {"id": "x"}}},
    ],
)
def test_a_report_that_is_late_or_of_another_or_none_is_left(change: dict[str, object]) -> None:
    plant = world(1)
    hall = heard(plant)
    station = plant.stations[0]
    before = hall.stations[hall.inventory.stations[0].address].report
    content = json.loads(plant.retained[station.topics.reported()])
    hall.note(station.topics.reported(), json.dumps({**content, **change}).encode(), NOW)
    assert hall.stations[hall.inventory.stations[0].address].report == before


def test_a_member_that_is_not_known_yet_is_passed_over() -> None:
    plant = world(1)
    hall = heard(plant)
    station = plant.stations[0]
    content = json.loads(plant.retained[station.topics.reported()])
    newer = {**content, "sequence": 99, "mood": "good"}
    hall.note(station.topics.reported(), json.dumps(newer).encode(), NOW)
    report = hall.stations[hall.inventory.stations[0].address].report
    assert report is not None and report.sequence == 99


def test_a_topic_of_nobody_here_is_not_ours() -> None:
    hall = heard(world(1))
    assert not hall.note("plumbline/v1/x/y/z/stranger/config/reported", b"{}", NOW)
    assert not hall.note(PLANT.stations[0].topics.verdict("top"), b"{}", NOW)


def test_the_highest_counter_is_looked_for_in_all_that_a_station_tells() -> None:
    plant = world(2)
    plant.stations[1].fast_forward("office", 7)
    plant.leave(plant.stations[1])
    plant.come_back(plant.stations[1], has_session=False)
    hall = heard(plant)
    every = hall.inventory.stations
    assert highest_reported(hall, every, "office", 1) == {every[1].address: 7}
    assert highest_reported(hall, every, "another", 1) == {}
    assert highest_reported(hall, every, "office", 2) == {}

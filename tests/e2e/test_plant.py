"""Bundles for a plant of three stations, real processes all: rolled out, stopped, refused, and killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.bundle import open_bundle
from agent.demo.demo import SAMPLE_BUNDLE
from tests.brokers import Mosquitto, Subscriber, eventually
from tests.e2e.plant import STATIONS, Plant, made

pytestmark = pytest.mark.slow


@pytest.fixture
def plant(tmp_path: Path, mosquitto: Mosquitto, subscriber: Subscriber) -> Iterator[Plant]:
    one = made(tmp_path, mosquitto, subscriber)
    yield one
    for station in one.stations.values():
        station.kill()


def wrong_scores(path: Path) -> bytes:
    """Golden scores that no engine reproduces."""
    there = SAMPLE_BUNDLE / "golden" / "scores.npy"
    np.save(path / "scores.npy", np.load(there) * 2 + 1)
    return (path / "scores.npy").read_bytes()


def test_a_good_bundle_comes_to_all_in_waves_and_a_bad_one_is_stopped_at_the_first(
    plant: Plant, tmp_path: Path
) -> None:
    sample = open_bundle(SAMPLE_BUNDLE).manifest
    first, newer = open_bundle(tmp_path / "first").sha256, plant.bundle("newer", counter=sample.counter + 1)
    new = open_bundle(newer).sha256
    plant.start(*STATIONS)

    code, said = plant.roll_out(newer)
    assert (code, said["state"]) == (0, "finished"), said
    for name in STATIONS:
        report = plant.reported(name)["bundle"]
        assert (report["active"]["sha256"], report["previous"]["sha256"]) == (new, first)
        assert (report["attempted"]["state"], report["attempted"]["changed"]) == ("applied", True)
        assert report["attempted"]["proof"]["flips"] == 0 and report["attempted"]["proof"]["frames"] == 8

    bad = plant.bundle("bad", counter=sample.counter + 2, golden=wrong_scores(tmp_path))
    code, said = plant.roll_out(bad)
    results = [one["result"] for one in said["stations"]]
    assert (code, said["state"], sorted(map(str, results))) == (
        1,
        "stopped",
        ["None", "None", "failed"],
    )
    for name in STATIONS:
        assert plant.reported(name)["bundle"]["active"]["sha256"] == new

    plant.stop()
    for name in STATIONS:
        assert plant.judged_by(name) == [first, new] and plant.has_no_gap(name)


def test_one_that_flips_verdicts_is_refused_and_who_was_away_does_not_take_it(
    plant: Plant, tmp_path: Path
) -> None:
    sample = open_bundle(SAMPLE_BUNDLE).manifest
    first = open_bundle(tmp_path / "first").sha256
    plant.start(*STATIONS[:2])
    lower = sample.threshold.model_copy(update={"raw": 0.5 * sample.threshold.raw})
    strict = plant.bundle("strict", counter=sample.counter + 1, threshold=lower)

    code, said = plant.roll_out(strict, "--to", "group:press", "--at-once")
    assert (code, said["state"]) == (1, "stopped"), said
    refused = [name for name in STATIONS[:2] if plant.reported(name)["bundle"]["attempted"]["proof"]]
    assert refused
    for name in refused:
        attempted = plant.reported(name)["bundle"]["attempted"]
        assert attempted["proof"]["flips"] >= 2 and attempted["changed"] is False

    plant.start("cell3")
    plant.stop()
    for name in STATIONS:
        assert plant.judged_by(name) == [first] and plant.has_no_gap(name)


def test_a_station_that_is_killed_on_probation_goes_on_with_it_and_loses_no_number(
    plant: Plant, tmp_path: Path
) -> None:
    sample = open_bundle(SAMPLE_BUNDLE).manifest
    newer = plant.bundle("newer", counter=sample.counter + 1)
    station = plant.stations["cell1"]
    station.settings["remote"]["probation"] = {"verdicts": 60, "seconds": 2.0}  # type: ignore[index]
    plant.start("cell1")
    office = plant.office(newer, "--to", "test/cells/line1/cell1")
    try:
        eventually(lambda: attempted(plant).get("state") == "probation", "it serves", 120)
        station.kill()
        station.start()
        eventually(lambda: attempted(plant).get("state") == "applied", "it is committed", 120)
        assert office.wait(60) == 0
    finally:
        office.kill()
        office.wait()
    plant.stop()
    assert plant.judged_by("cell1")[-1] == open_bundle(newer).sha256 and plant.has_no_gap("cell1")


def attempted(plant: Plant) -> dict[str, object]:
    return dict(plant.reported("cell1")["bundle"]["attempted"] or {})

"""`plumbline drift` shows how a station stands to its first good parts, and forgets them on demand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.drift.floor import GOOD, Floor


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    return Floor(folder=tmp_path / "drift")


def settings_of(floor: Floor) -> Path:
    outbox = {"path": str(floor.folder.parent / "outbox.sqlite3")}
    return config(floor.folder.parent, cameras=[{"name": "top"}], outbox=outbox)


def test_a_station_whose_parts_are_as_they_were_ends_with_0(plumbline: Plumbline, floor: Floor) -> None:
    wanted = settings_of(floor)
    none = plumbline("drift", "-c", wanted)
    assert (none.code, none.err) == (0, "") and "no camera has shown 200 good parts yet" in none.out
    floor.show(GOOD + 64)
    done = plumbline("drift", "-c", wanted)
    assert (done.code, done.err) == (0, "")
    assert f"camera top, recipe default: watching; {GOOD} good parts until" in done.out
    assert "brightness" in done.out and "PSI" in done.out


def test_a_change_ends_with_1_until_it_is_taken_as_what_is_good_from_now_on(
    plumbline: Plumbline, floor: Floor
) -> None:
    wanted = settings_of(floor)
    floor.show(GOOD + 16)
    floor.show(100, level=90.0)
    done = plumbline("drift", "-c", wanted, "--json")
    assert done.code == 1
    document = json.loads(done.out[done.out.index("{") :])  # logs of the station stand before it
    (camera,) = document["cameras"]
    assert camera["now"]["state"] == "light_changed" and "the light changed" in camera["now"]["words"]
    assert named_in_help(plumbline, "drift", fields=[*document, *camera])
    plain = plumbline("drift", "-c", wanted)
    assert plain.code == 1 and "Camera top: the light changed" in plain.out
    forgotten = plumbline("drift", "-c", wanted, "--forget", "top")
    assert (forgotten.code, forgotten.err) == (0, "") and "camera top: forgot 1" in forgotten.out
    floor.show(1, level=90.0)
    assert floor.watch.words() == ()


def test_a_camera_that_is_not_there_is_named(plumbline: Plumbline, floor: Floor) -> None:
    done = plumbline("drift", "-c", settings_of(floor), "--forget", "[red]left")
    assert done.code == 2
    assert "--forget [red]left: no camera of the settings has this name; there are top" in done.complaint()

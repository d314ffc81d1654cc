"""`plumbline calibrate threshold`: from a folder or an archive to a threshold and what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.agent.archive.records import record
from tests.agent.archive.test_look import filled
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.engines.small_bundle import TILE_PX


def good_parts(folder: Path, count: int, *, first: int = 0, level: int = 90) -> Path:
    """The small bundle scores their mean grey value."""
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        grey = rng.integers(level, level + 10) + rng.integers(0, 9, (TILE_PX, TILE_PX))
        cv2.imwrite(str(folder / f"{number:04}.png"), grey.astype(np.uint8))
    return folder


@pytest.fixture
def station(tmp_path: Path, bundle: Path) -> Path:
    return config(tmp_path, bundle=str(bundle), engine={"kind": "openvino"})


def test_a_folder_of_good_parts_gives_a_threshold_and_its_promise(
    plumbline: Plumbline, tmp_path: Path, station: Path
) -> None:
    good = good_parts(tmp_path / "good", 60)
    asked = ("calibrate", "threshold", "-c", station, "--good", good, "--target-frr", "0.05")
    ended = plumbline(*asked, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert not found["provisional"] and found["frames"] == 60 and not found["applied"]
    assert found["rejected_interval"][0] <= found["rejected"] / 60 <= found["rejected_interval"][1]
    assert 90 / 255 < found["threshold"] < 110 / 255
    assert named_in_help(plumbline, "calibrate", "threshold", fields=found)
    told = plumbline(*asked).out
    assert "from 60 good parts" in told and "no stored result" in told


def test_from_too_few_it_says_how_many_more_and_ends_with_1(
    plumbline: Plumbline, tmp_path: Path, station: Path
) -> None:
    good = good_parts(tmp_path / "good", 3)
    ended = plumbline("calibrate", "threshold", "-c", station, "--good", good)
    assert ended.code == 1
    assert "cannot be promised from so few, only 25.00%: give 196 more good parts" in ended.out


def test_damaged_pictures_are_refused_by_name_and_the_others_count(
    plumbline: Plumbline, tmp_path: Path, station: Path
) -> None:
    good = good_parts(tmp_path / "good", 25)
    (good / "0003.png").write_bytes((good / "0003.png").read_bytes()[:200])
    (good / "<b>x.png").write_bytes(b"no picture")
    ended = plumbline(
        "calibrate", "threshold", "-c", station, "--good", good, "--target-frr", "0.1", "--json"
    )
    found = json.loads(ended.out)
    assert found["frames"] == 24 and len(found["refused"]) == 2
    assert "0003.png: is damaged" in " ".join(found["refused"])


def test_another_light_is_a_group_of_its_own(plumbline: Plumbline, tmp_path: Path, station: Path) -> None:
    good = good_parts(good_parts(tmp_path / "good", 40), 10, first=40, level=180)
    ended = plumbline(
        "calibrate", "threshold", "-c", station, "--good", good, "--target-frr", "0.2", "--json"
    )
    found = json.loads(ended.out)
    assert [one["light"] for one in found["groups"]] == ["light +1.0 stops", "usual light"]
    assert any("needs a threshold of its own" in line for line in found["words"])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--target-frr", "0"), "cannot be promised by any number of good parts"),
        (("--target-frr", "nan"), "cannot be promised by any number of good parts"),
        (("--good", "nowhere"), "--good nowhere: no such file or folder"),
        ((), "archive.folder is not set"),
    ],
)
def test_what_gives_no_threshold_is_said_in_one_line(
    plumbline: Plumbline, station: Path, words: tuple[str, ...], complaint: str
) -> None:
    ended = plumbline("calibrate", "threshold", "-c", station, *words)
    assert ended.code == 2 and complaint in ended.complaint()


def test_the_archive_gives_good_frames_and_what_would_have_changed(
    plumbline: Plumbline, tmp_path: Path, bundle: Path
) -> None:
    shelf = filled(tmp_path / "archive")
    shelf.put(*record(4, name="pass"))
    shelf.close()
    kept = {"folder": "archive", "pass_share": 1.0}
    station = config(tmp_path, bundle=str(bundle), archive=kept)
    ended = plumbline("calibrate", "threshold", "-c", station, "--target-frr", "0.5", "--json")
    found = json.loads(ended.out)
    assert (found["frames"], found["minutes"], found["provisional"]) == (1, 1, False), ended.err
    assert found["what_if"]["results"] == 3 and found["what_if"]["rejects_now"] == 1


def test_to_apply_takes_a_station_that_answers(plumbline: Plumbline, tmp_path: Path, station: Path) -> None:
    good = good_parts(tmp_path / "good", 3)
    ended = plumbline("calibrate", "threshold", "-c", station, "--good", good, "--apply")
    assert ended.code == 2 and "127.0.0.1:1" in ended.complaint()

"""`plumbline teach`: the five steps by one command, which goes on where it was left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.cli import calibrate
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.cli.test_calibrate_threshold import good_parts


@pytest.fixture
def station(tmp_path: Path, bundle: Path) -> Path:
    return config(tmp_path, bundle=str(bundle), engine={"kind": "openvino"})


def noisy(folder: Path, count: int) -> Path:
    """Good parts that differ in every pixel; the small bundle scores their mean."""
    folder.mkdir()
    for number in range(count):
        grain = np.random.default_rng(number).normal(0, 14, (64, 64))
        cv2.imwrite(
            str(folder / f"{number:03}.png"), np.clip(100 + number % 7 + grain, 0, 255).astype(np.uint8)
        )
    return folder


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, station: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """A station that takes what it is told."""
    told: list[dict[str, Any]] = []

    def asked(config: Path, name: str, args: dict[str, Any]) -> dict[str, Any]:
        told.append({"name": name, **args})
        return {"code": 200, "message": "done", "data": station}

    monkeypatch.setattr(calibrate, "asked", asked)
    yield told


def test_it_stops_where_it_is_told_and_goes_on_by_the_same_command(
    plumbline: Plumbline, tmp_path: Path, station: Path
) -> None:
    good = noisy(tmp_path / "good", 30)
    asked = ("teach", "-c", station, "--product", "plate", "--from", good, "--parts", "30")
    asked += ("--target-frr", "0.05", "--flagged", "keep")
    ended = plumbline(*asked, "--until", "collect")
    assert ended.code == 0 and "next is check" in ended.out, ended.err
    ended = plumbline(*asked, "--until", "threshold", "--json")
    found = json.loads(ended.out)
    assert ended.code == 0 and found["step"] == "activate" and found["promised"]["frames"] == 30
    assert named_in_help(plumbline, "teach", fields=found)
    assert (tmp_path / "teach" / "plate" / "teach.json").exists()


def test_a_bundle_that_sees_no_made_up_defect_is_not_activated(
    plumbline: Plumbline, tmp_path: Path, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = noisy(tmp_path / "good", 30)
    with answering(monkeypatch, {}) as told:
        ended = plumbline(
            *("teach", "-c", station, "--product", "plate", "--from", good, "--parts", "30"),
            *("--target-frr", "0.05", "--flagged", "keep"),
        )
    assert ended.code == 1 and "of made-up defects on plate" in ended.complaint() and told == []


def test_what_looks_unfit_is_shown_by_name(plumbline: Plumbline, tmp_path: Path, station: Path) -> None:
    good = noisy(tmp_path / "good", 12)
    (good / "twin.png").write_bytes((good / "003.png").read_bytes())
    ended = plumbline("teach", "-c", station, "--product", "plate", "--from", good, "--parts", "13")
    assert ended.code == 1 and "1 of 13 parts should be looked at" in ended.complaint()
    assert "twin.png: the same picture as 000004--003.png" in ended.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--product", "../x"), "give a name of a-z"),
        (("--product", "plate", "--from", "nowhere"), "--from nowhere: no such file or folder"),
        (("--product", "plate", "--target-frr", "0"), "cannot be promised by any number"),
        (("--product", "plate"), "archive.folder is not set"),
    ],
)
def test_what_cannot_be_begun_is_said(
    plumbline: Plumbline, station: Path, words: tuple[str, ...], complaint: str
) -> None:
    ended = plumbline("teach", "-c", station, *words)
    assert ended.code in (1, 2) and complaint in " ".join(ended.err.split())


def test_one_part_is_no_ground(plumbline: Plumbline, tmp_path: Path, station: Path) -> None:
    good = good_parts(tmp_path / "good", 1)
    ended = plumbline("teach", "-c", station, "--product", "plate", "--from", good, "--until", "threshold")
    assert ended.code == 0 and "only 50.00%: give 198 more good parts" in ended.out

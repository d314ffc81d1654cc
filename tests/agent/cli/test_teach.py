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

from agent.bundle.bundle import open_bundle
from agent.cli import calibrate
from agent.teach import flow, workshop
from agent.teach.workshop import find
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.cli.test_calibrate_threshold import good_parts
from tests.agent.teach.workshops import FakeWorkshop


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


def test_where_the_workshop_is_not_installed_none_is_trained_and_nothing_is_begun(
    plumbline: Plumbline, tmp_path: Path, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop, "find", lambda: find(str(tmp_path / "python")))
    good = noisy(tmp_path / "good", 3)
    ended = plumbline("teach", "-c", station, "--product", "plate", "--from", good, "--train", "nano")
    assert ended.code != 0 and "the workshop is not installed here" in ended.complaint()
    assert not (tmp_path / "teach").exists()


def test_a_bundle_that_was_trained_is_to_be_installed_before_its_threshold_is_set(
    plumbline: Plumbline, tmp_path: Path, station: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWorkshop(tmp_path / "lab")
    monkeypatch.setattr(workshop, "find", fake.find)
    monkeypatch.setattr(workshop, "train", fake.run)
    monkeypatch.setattr(flow, "SEES", 0.0)  # the small bundle sees no scratch
    asked = ("teach", "-c", station, "--product", "plate", "--from", noisy(tmp_path / "good", 30))
    asked += ("--parts", "30", "--target-frr", "0.1", "--flagged", "keep", "--train", "nano")
    with answering(monkeypatch, {"bundle": "ab" * 32, "settings": "cd" * 32}) as told:
        ended = plumbline(*asked)
    assert ended.code == 1 and "then plumbline bundle install" in ended.complaint()
    assert [one["name"] for one in told] == ["in_force"] and "training the student" in ended.out
    sha256 = open_bundle(next((tmp_path / "teach" / "plate").glob("trained-*")) / "bundle").sha256
    with answering(monkeypatch, {"bundle": sha256, "settings": "cd" * 32}) as told:
        ended = plumbline(*asked, "--json")
    state = json.loads(ended.out)
    assert ended.code == 0 and state["step"] == "done" and state["trained"]["sha256"] == sha256
    assert told[-1]["threshold"] == state["promised"]["threshold"] and fake.began == [0]

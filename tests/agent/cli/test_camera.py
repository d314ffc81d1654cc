"""`plumbline camera` finds cameras and tries them, and shows no password."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import pytest

from agent.cameras.probe import Found
from tests.agent.cli.calling import Plumbline, named_in_help
from tests.fakes import good_picture


def test_a_camera_that_is_tried_does_not_show_its_password(plumbline: Plumbline) -> None:
    for address in ("http://u:p@ss/GEH#EIM?@127.0.0.1:1/x", "rtsp://127.0.0.1:1/x?user=a&password=GEHEIM"):
        ended = plumbline("camera", "test", address)
        assert ended.code == 2 and "GEH" not in ended.err + ended.out and "127.0.0.1:1" in ended.err


def test_a_camera_test_as_json_says_whether_it_is_good(plumbline: Plumbline, tmp_path: Path) -> None:
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), good_picture(40, 40))
    ended = plumbline("camera", "test", tmp_path, "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["is_good"], told["frames"], told["shape"]) == (0, True, 10, [40, 40, 1])
    assert named_in_help(plumbline, "camera", "test", fields=told)
    (tmp_path / "0.png").unlink()
    ended = plumbline("camera", "test", tmp_path, "--json")
    assert (ended.code, json.loads(ended.out)["is_good"]) == (1, False)


def test_camera_list_as_json_has_every_camera_of_the_table(
    plumbline: Plumbline, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found(
        device_id="A-B-1", address="192.0.2.20", vendor="A", model="B", serial="1", protocol="GigEVision"
    )
    monkeypatch.setattr("agent.cameras.probe.discover", lambda: [found])
    assert json.loads(plumbline("camera", "list", "--json").out) == {"cameras": [asdict(found)]}
    assert named_in_help(plumbline, "camera", "list", fields=["cameras", *asdict(found)])
    monkeypatch.setattr("agent.cameras.probe.discover", list)
    ended = plumbline("camera", "list", "--json")
    assert (ended.code, json.loads(ended.out)) == (1, {"cameras": []})

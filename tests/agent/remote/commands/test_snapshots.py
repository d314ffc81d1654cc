"""The latest picture of each camera is there for whoever asks, and costs nothing until then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.contract.commands import NotDoneError
from agent.contract.payloads import Hold
from agent.line.publish import Listener
from agent.remote.commands.snapshots import AT_ONCE, Snapshots
from tests.agent.line.records import desk
from tests.agent.line.test_line import station
from tests.agent.remote.fakes import shot
from tests.fakes import bad_picture, fault, frame, good_picture


def told(path: Path, snapshots: Snapshots, *items: object, **parts: object) -> None:
    with desk(path) as at:
        listeners: list[Listener] = [snapshots]
        at.publisher._listeners = listeners
        one = station(path, at, **parts)
        for item in items:
            one.capture.put(item)  # type: ignore[arg-type]
            assert one.line.step() is not None
        at.settle()


def test_it_is_that_of_the_last_trigger_that_gave_a_picture(tmp_path: Path) -> None:
    snapshots = Snapshots(["top"])
    last = frame(1, bad_picture(70, 50))
    told(tmp_path / "o.sqlite3", snapshots, frame(0, good_picture(70, 50)), last, fault(2, "camera_error"))
    shot = snapshots.latest(None, 0)
    assert (shot.verdict.frame.id, shot.verdict.verdict) == (1, "fail")
    assert np.array_equal(shot.picture, last.image) and shot.picture is last.image


def test_it_is_whole_while_the_station_is_paused(tmp_path: Path) -> None:
    snapshots = Snapshots(["top"])
    hold = Hold(since="2026-01-01T00:00:00.000Z", who="lead", reason="set-up")
    wide = frame(0, good_picture(900, 700))
    told(tmp_path / "o.sqlite3", snapshots, wide, pause_at=lambda captured_ns: hold)
    shot = snapshots.latest("top", 0)
    assert (shot.verdict.reason, shot.picture.shape) == ("paused", wide.image.shape)


def test_of_several_cameras_one_is_named() -> None:
    snapshots = Snapshots(["top", "side"])
    for camera, kind in ((None, "bad_arguments"), ("x", "bad_arguments"), ("side", "not_found")):
        with pytest.raises(NotDoneError) as refused:
            snapshots.latest(camera, 0)
        assert refused.value.kind == kind


def test_whoever_asks_without_end_gets_a_few_in_a_second() -> None:
    snapshots = Snapshots(["top"])
    snapshots._shots["top"] = shot(frame(0, good_picture(70, 50)))
    asked_ns = range(0, 2_000_000_000, 1_000_000)
    given = 0
    for now_ns in asked_ns:
        try:
            snapshots.latest(None, now_ns)
            given += 1
        except NotDoneError as refused:
            assert refused.kind == "busy"
    assert given == 2 * AT_ONCE

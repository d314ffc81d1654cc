"""A gate at a camera's output line: written while the camera gives pictures, through whoever has it now."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from agent.cameras.camera import CameraError
from agent.cameras.genicam.camera import GenicamCamera
from agent.cameras.make import connections
from agent.clock import SystemClock
from agent.outputs.gate import GateError
from agent.outputs.genicam import Cameras, GenicamLine
from agent.settings.camera import FeatureWrite, FolderSource
from agent.settings.outputs import GenicamGate
from tests.brokers import eventually
from tests.gige.aravis import needs_aravis
from tests.gige.client import frames, opened, source
from tests.gige.process import SimulatedCamera

SETTINGS = GenicamGate(
    camera="top",
    line="Line1",
    user_output="UserOutput0",
    heartbeat_line="Line2",
    heartbeat_user_output="UserOutput1",
)


class Writes:
    """A camera that takes features, and fails on cue."""

    def __init__(self) -> None:
        self.written: list[tuple[str, object]] = []
        self.fails = False

    def write(self, features: Sequence[FeatureWrite]) -> None:
        if self.fails:
            raise CameraError("top: does not answer any more; check that it is on")
        self.written += [(one.name, one.value) for one in features]


def test_line_and_user_output_are_joined_and_the_level_goes_to_the_user_output() -> None:
    camera = Writes()
    gate = GenicamLine(SETTINGS, Cameras({"top": camera}))
    gate.open()
    assert camera.written == [
        ("LineSelector", "Line1"),
        ("LineMode", "Output"),
        ("LineSource", "UserOutput0"),
        ("LineSelector", "Line2"),
        ("LineMode", "Output"),
        ("LineSource", "UserOutput1"),
    ]
    camera.written.clear()
    gate.set(True)
    gate.beat(False)
    assert camera.written == [
        ("UserOutputSelector", "UserOutput0"),
        ("UserOutputValue", True),
        ("UserOutputSelector", "UserOutput1"),
        ("UserOutputValue", False),
    ]
    gate.close()


def test_a_camera_that_is_not_open_or_does_not_answer_is_told() -> None:
    cameras = Cameras()
    gate = GenicamLine(SETTINGS, cameras)
    with pytest.raises(GateError, match="camera top is not open, and with it the line of this output"):
        gate.open()
    camera = Writes()
    camera.fails = True
    cameras.newest["top"] = camera
    with pytest.raises(GateError, match="line of camera top: top: does not answer any more"):
        gate.set(True)


def test_the_newest_object_of_a_camera_is_written_to_and_others_are_not_noted() -> None:
    cameras = Cameras()
    make = cameras.noting(connections)
    connect = make("top", source("127.0.0.9"), SystemClock())
    connect()
    newest = connect()
    assert cameras.newest["top"] is newest
    make("side", FolderSource(path=FolderSource(path=__file__).path.parent), SystemClock())()
    assert list(cameras.newest) == ["top"]
    assert isinstance(newest, GenicamCamera)
    with pytest.raises(CameraError, match="is not open"):
        newest.write(())


@needs_aravis
def test_a_real_line_moves_while_pictures_come_and_none_is_lost() -> None:
    with SimulatedCamera({"noise": "512x1024", "height": 64, "line_rate_hz": 3200}) as simulated:
        with opened(source(simulated.address, ring_frames=1024)) as camera:  # the machine may pause
            gate = GenicamLine(SETTINGS, Cameras({"top": camera}))
            got = frames(camera, 2)
            gate.open()
            done = threading.Event()

            def move() -> None:
                for _ in range(10):
                    gate.set(True)
                    gate.beat(True)
                    gate.set(False)
                done.set()

            thread = threading.Thread(target=move, daemon=True)
            thread.start()
            while not done.is_set():
                got += frames(camera, 1)
            eventually(done.is_set, "the line was moved")
            got += frames(camera, 2)
        counts = simulated.cue()
    assert sum(one.lines_lost for one in got) == 0
    assert counts.line_sources == {"1": 1, "2": 2}
    assert counts.user_outputs == {"1": [1, 0] * 10, "2": [1] * 10}


@needs_aravis
def test_a_line_that_the_camera_has_not_is_named_with_those_that_it_has() -> None:
    with (
        SimulatedCamera({"noise": "512x1024", "height": 64, "line_rate_hz": 3200}) as simulated,
        opened(source(simulated.address)) as camera,
    ):
        gate = GenicamLine(GenicamGate(camera="top", line="Line9"), Cameras({"top": camera}))
        with pytest.raises(GateError, match="LineSelector = 'Line9': is not one of Line0, Line1, Line2"):
            gate.open()

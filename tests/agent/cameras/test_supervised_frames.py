"""What a supervised camera grabs reaches the ring in order: checked, corrected, cut into windows."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.camera import Camera, CameraError, EndOfStream
from agent.cameras.folder import FolderCamera
from agent.cameras.images import read_image
from agent.cameras.life import Life, Patience, Pauses
from agent.cameras.make import can_wait
from agent.cameras.simulated.linescan import LinescanSimCamera
from agent.cameras.supervisor import Supervisor
from agent.clock import ManualClock, SystemClock
from agent.line.capture import Capture
from agent.messages import Frame, FrameFault
from agent.settings import camera as camera_settings
from agent.settings.camera import FolderSource, LinescanSimSource
from agent.track.flatfield import FlatField, flat_field
from agent.track.track import Track, make_track
from agent.track.windows import Web
from tests.agent.line.test_capture import drained, fault, frame, told

LOST = CameraError("scripted: gone")


class ScriptedCamera:
    """Plays a script of grabs; an exception is raised."""

    def __init__(
        self,
        script: list[Frame | FrameFault | Exception | None],
        *,
        at_the_end: Callable[[], None] | None = None,
    ) -> None:
        self.script = list(script)
        self.at_the_end = at_the_end

    def open(self) -> None:
        """Nothing to open."""

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        if not self.script:
            if self.at_the_end is None:
                raise EndOfStream
            self.at_the_end()
            return None
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Nothing is held open."""


def ran(
    *cameras: Camera,
    window_lines: int = 0,
    field: FlatField | None = None,
    stop: threading.Event | None = None,
) -> tuple[list[Frame | FrameFault], list[str]]:
    """What reached the ring of one connection after the other, and the states that were reported."""
    capture = Capture("accountable", ring_frames=100)
    waiting, states = list(cameras), list[str]()
    Supervisor(
        name="top",
        make=lambda: waiting.pop(0),
        make_track=lambda: Track(
            Web(window_lines), flat_field=field, stages=(), joins_blocks=window_lines > 0
        ),
        life=Life(Patience(), random.Random(1), Pauses(first_s=0.0, longest_s=0.0)),
        ring=capture,
        clock=ManualClock(),
        report=lambda state, detail: states.append(f"{state} {detail}".strip()),
    ).run(stop or threading.Event())
    items = drained(capture)
    assert capture.is_finished()
    return items, states


def test_frames_and_faults_reach_the_ring_in_order_until_the_source_ends() -> None:
    items, states = ran(ScriptedCamera([frame(0), None, fault(1), frame(2)]))
    assert told(items) == [(0, "frame"), (1, "camera_error"), (2, "frame")]
    assert states == ["opening", "streaming", "finished the source has given all it had"]


def test_blocks_become_windows_and_the_last_one_is_flushed_at_the_end_and_at_stop() -> None:
    blocks: list[Frame | FrameFault | Exception | None] = [
        frame(n, shape=(4, 3, 1), first_line=4 * n) for n in range(4)
    ]
    ended, _ = ran(ScriptedCamera(blocks), window_lines=10)
    stop = threading.Event()
    stopped, _ = ran(ScriptedCamera(blocks, at_the_end=stop.set), window_lines=10, stop=stop)
    for items in (ended, stopped):
        assert [(item.frame_id, item.first_line, item.lines_lost) for item in items] == [
            (0, 0, 0),
            (1, 10, 4),
        ]


@pytest.mark.parametrize("shape", [(2, 4, 1), (2, 3, 3), (5, 3, 1)])
def test_a_frame_unlike_the_first_is_a_fault_that_names_both(shape: tuple[int, int, int]) -> None:
    items, _ = ran(ScriptedCamera([frame(0), frame(1, shape=shape), frame(2)]))
    assert told(items) == [(0, "frame"), (1, "camera_error"), (2, "frame")]
    odd = items[1]
    assert isinstance(odd, FrameFault)
    assert " x ".join(map(str, shape)) in odd.detail and "2 x 3 x 1" in odd.detail


def test_blocks_of_lines_may_differ_in_height_but_not_in_width() -> None:
    script: list[Frame | FrameFault | Exception | None] = [
        frame(0, shape=(4, 3, 1), first_line=0),
        frame(1, shape=(2, 3, 1), first_line=4),
        frame(2, shape=(4, 5, 1), first_line=6),
        frame(3, shape=(10, 3, 1), first_line=10),
    ]
    items, _ = ran(ScriptedCamera(script), window_lines=10)
    assert told(items) == [(0, "camera_error"), (0, "frame"), (1, "frame")]
    assert [item.lines_lost for item in items] == [0, 4, 0]


def test_frames_are_corrected_before_they_become_windows() -> None:
    white = np.array([[100, 50, 100]], np.uint8)[:, :, np.newaxis]
    field = flat_field(None, white.mean(axis=0, dtype=np.float32), max_gain=8.0)
    items, _ = ran(ScriptedCamera([frame(0, value=40)]), field=field)
    assert isinstance(items[0], Frame)
    assert items[0].image[0, :, 0].tolist() == [40, 80, 40]


def test_windows_of_the_simulated_sensor_show_the_pictures_under_them(tmp_path: Path) -> None:
    images = []
    for number in range(6):
        images.append(tmp_path / f"cell{number}.png")
        picture = np.random.default_rng(number).integers(0, 256, (30, 8), dtype=np.uint8)
        cv2.imwrite(str(images[-1]), picture)
    source = LinescanSimSource.model_validate(
        {
            "path": tmp_path,
            "height": 16,
            "repeat": False,
            "jitter": 0.5,
            "lose_every_blocks": 3,
            "lose_lines": 5,
        }
    )
    camera = LinescanSimCamera("top", images, source, ManualClock())
    windows, _ = ran(camera, window_lines=30)
    assert [window.frame_id for window in windows] == list(range(6))
    for window in windows:
        assert isinstance(window, Frame) and window.encoder == window.first_line * 4
        valid = np.ones(30, np.bool_) if window.valid is None else window.valid
        under = read_image(camera.image_at(window.first_line))
        assert camera.image_at(window.first_line) == images[window.frame_id]
        assert np.array_equal(window.image[valid], under[valid])
    assert sum(window.lines_lost for window in windows) == 3 * 5


def test_a_loss_closes_the_window_and_the_next_epoch_begins_where_its_camera_counts() -> None:
    before: list[Frame | FrameFault | Exception | None] = [frame(0, shape=(4, 3, 1)), LOST]
    after: list[Frame | FrameFault | Exception | None] = [frame(0, shape=(10, 3, 1))]
    items, _ = ran(ScriptedCamera(before), ScriptedCamera(after), window_lines=10)
    assert [(item.first_line, item.lines_lost) for item in items] == [(0, 6), (0, 0)]


def test_faults_are_numbered_on_over_a_loss() -> None:
    items, _ = ran(ScriptedCamera([frame(0), fault(1), LOST]), ScriptedCamera([fault(0), frame(1)]))
    assert told(items) == [(0, "frame"), (1, "camera_error"), (2, "camera_error"), (3, "frame")]


def test_a_flat_field_of_another_width_makes_a_fault_of_every_frame_and_ends_nothing() -> None:
    field = flat_field(None, np.full((8, 1), 100, np.float32), max_gain=8.0)
    items, _ = ran(ScriptedCamera([frame(0), frame(1)]), field=field)
    assert told(items) == [(0, "camera_error"), (1, "camera_error")]
    assert isinstance(items[0], FrameFault) and "it is 8 px wide" in items[0].detail


def test_a_folder_waits_for_a_slow_line_and_a_stop_does_not_wait_for_it(tmp_path: Path) -> None:
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"part{number}.png"), np.full((4, 6), number, np.uint8))
    source = FolderSource(path=tmp_path, repeat=True)
    capture, stop = Capture("accountable", ring_frames=2, source_waits=can_wait(source)), threading.Event()
    supervisor = Supervisor(
        name="top",
        make=lambda: FolderCamera("top", source, SystemClock()),
        make_track=lambda: make_track(camera_settings.Camera()),
        life=Life(Patience(), random.Random(1), Pauses()),
        ring=capture,
        clock=SystemClock(),
        report=lambda state, detail: None,
    )
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    taken = [capture.take(60.0) for _ in range(30)]
    assert [item.part_id if isinstance(item, Frame) else None for item in taken] == [
        f"part{number % 9}" for number in range(30)
    ]
    assert supervisor.counts().frames >= 30
    stop.set()
    thread.join(60.0)
    assert not thread.is_alive() and capture.overloaded == 0


def test_faults_in_a_row_are_counted_until_there_is_a_picture_again() -> None:
    script = [frame(0), fault(1), fault(2), frame(3, shape=(9, 9, 1)), frame(4), fault(5)]
    seen: list[tuple[int, int, str]] = []
    supervisor: Supervisor | None = None

    class Asked(ScriptedCamera):
        def grab(self, timeout_s: float) -> Frame | FrameFault | None:
            assert supervisor is not None
            counts = supervisor.counts()
            seen.append((counts.faults, counts.faults_in_a_row, counts.last_fault[:13]))
            return super().grab(timeout_s)

    supervisor = Supervisor(
        name="top",
        make=lambda: Asked([*script]),
        make_track=lambda: make_track(camera_settings.Camera()),
        life=Life(Patience(), random.Random(1), Pauses()),
        ring=Capture("accountable", ring_frames=100),
        clock=SystemClock(),
        report=lambda state, detail: None,
    )
    supervisor.run(threading.Event())
    assert seen == [
        (0, 0, ""), (0, 0, ""), (1, 1, "torn"), (2, 2, "torn"), (3, 3, "frame of 9 x "), (3, 0, ""),
        (4, 1, "torn"),
    ]  # fmt: skip

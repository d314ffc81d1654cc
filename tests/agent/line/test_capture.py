"""Every trigger leaves the ring exactly once and in order; what is dropped is a fault, never a silence."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera_settings import LinescanSimSource
from agent.cameras.camera import CameraError, EndOfStream
from agent.cameras.images import read_image
from agent.cameras.linescan_sim import LinescanSimCamera
from agent.cameras.supervisor import run_camera
from agent.clock import ManualClock
from agent.line.capture import FAULTS_WAITING, Capture
from agent.messages import Frame, FrameFault
from agent.web.flatfield import FlatField, FlatFieldError, flat_field
from agent.web.track import Track
from agent.web.windows import Web

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
PATIENCE_S = 20.0


def frame(
    frame_id: int, *, shape: tuple[int, int, int] = (2, 3, 1), first_line: int = 0, value: int = 9
) -> Frame:
    return Frame(
        camera="top",
        frame_id=frame_id,
        image=np.full(shape, value, np.uint8),
        captured_ns=frame_id,
        captured_at=NOON,
        first_line=first_line,
        encoder=7,
        part_id=f"part{frame_id}",
    )


def fault(frame_id: int) -> FrameFault:
    return FrameFault(
        camera="top", frame_id=frame_id, reason="camera_error", detail="torn", captured_ns=0, captured_at=NOON
    )


def drained(capture: Capture) -> list[Frame | FrameFault]:
    items = []
    while (item := capture.take(0.0)) is not None:
        items.append(item)
    return items


def told(items: list[Frame | FrameFault]) -> list[tuple[int, str]]:
    """Id and what became of each trigger."""
    return [(item.frame_id, item.reason if isinstance(item, FrameFault) else "frame") for item in items]


def test_live_keeps_the_newest_frame_and_a_fault_for_every_older_one() -> None:
    capture = Capture("live", ring_frames=64)
    for item in (frame(0), fault(1), frame(2), frame(3)):
        assert capture.put(item)
    assert told(drained(capture)) == [(0, "overload"), (1, "camera_error"), (2, "overload"), (3, "frame")]
    assert (capture.received, capture.overloaded) == (4, 2)


def test_accountable_keeps_as_many_frames_as_the_ring_holds() -> None:
    capture = Capture("accountable", ring_frames=3)
    for frame_id in range(5):
        capture.put(frame(frame_id))
    assert told(drained(capture)) == [
        (0, "overload"),
        (1, "overload"),
        (2, "frame"),
        (3, "frame"),
        (4, "frame"),
    ]


def test_an_overload_fault_says_which_trigger_it_was_and_what_to_do() -> None:
    capture = Capture("accountable", ring_frames=1)
    pushed_out = replace(frame(5), first_line=1200, lines_lost=4)
    capture.put(pushed_out)
    capture.put(frame(6))
    item = capture.take(0.0)
    assert isinstance(item, FrameFault) and "line.ring_frames" in item.detail
    kept = (
        "camera",
        "frame_id",
        "captured_ns",
        "captured_at",
        "first_line",
        "encoder",
        "lines_lost",
        "part_id",
    )
    assert [getattr(item, name) for name in kept] == [getattr(pushed_out, name) for name in kept]


def test_the_picture_of_a_frame_that_is_pushed_out_is_let_go() -> None:
    capture = Capture("live", ring_frames=1)
    first = frame(0)
    picture = weakref.ref(first.image)
    capture.put(first)
    del first
    capture.put(frame(1))
    gc.collect()
    assert picture() is None


@given(
    st.sampled_from(["live", "accountable"]),
    st.integers(1, 5),
    st.lists(st.sampled_from(["frame", "fault", "take"]), max_size=60),
)
def test_every_trigger_is_taken_once_and_in_order(mode: str, ring_frames: int, steps: list[str]) -> None:
    capture = Capture("live" if mode == "live" else "accountable", ring_frames)
    taken: list[Frame | FrameFault] = []
    for number, step in enumerate(steps):
        if step == "take":
            taken += [item for item in [capture.take(0.0)] if item is not None]
        else:
            capture.put(frame(number) if step == "frame" else fault(number))
    waiting = drained(capture)
    assert sum(isinstance(item, Frame) for item in waiting) <= (1 if mode == "live" else ring_frames)
    sent = [number for number, step in enumerate(steps) if step != "take"]
    assert [item.frame_id for item in taken + waiting] == sent
    overloads = sum(isinstance(item, FrameFault) and item.reason == "overload" for item in taken + waiting)
    assert (capture.received, capture.overloaded) == (len(sent), overloads)


def test_put_waits_only_when_too_many_faults_wait_and_goes_on_when_one_is_taken() -> None:
    capture = Capture("accountable", ring_frames=2)
    for frame_id in range(FAULTS_WAITING + 1):
        assert capture.put(fault(frame_id), 0.0)
    assert not capture.put(fault(-1), 0.0)
    done = threading.Event()

    def put() -> None:
        capture.put(frame(FAULTS_WAITING + 1))
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert not done.is_set()
    assert capture.take(0.0) is not None
    assert done.wait(PATIENCE_S)
    thread.join()
    assert [item.frame_id for item in drained(capture)] == list(range(1, FAULTS_WAITING + 2))


def test_a_taker_that_waits_is_woken_by_a_frame_and_by_the_end() -> None:
    capture = Capture("accountable", ring_frames=2)
    taken: list[Frame | FrameFault | None] = []
    thread = threading.Thread(
        target=lambda: taken.extend([capture.take(PATIENCE_S), capture.take(PATIENCE_S)])
    )
    thread.start()
    capture.put(frame(0))
    capture.close()
    thread.join(PATIENCE_S)
    assert [item and item.frame_id for item in taken] == [0, None]


def test_a_closed_ring_is_finished_only_when_all_is_taken() -> None:
    capture = Capture("accountable", ring_frames=2)
    capture.put(frame(0))
    capture.close()
    assert not capture.is_finished()
    assert told(drained(capture)) == [(0, "frame")]
    assert capture.is_finished()


class ScriptedCamera:
    """Plays a script of grabs; an exception is raised, and `failing_opens` name the opens that fail."""

    def __init__(
        self,
        script: list[Frame | FrameFault | Exception | None],
        *,
        failing_opens: tuple[int, ...] = (),
        at_the_end: Callable[[], None] | None = None,
    ) -> None:
        self.script = list(script)
        self.failing_opens = failing_opens
        self.at_the_end = at_the_end
        self.opens = 0
        self.is_open = False

    def open(self) -> None:
        assert not self.is_open
        self.opens += 1
        if self.opens in self.failing_opens:
            raise CameraError("scripted: does not answer; plug it in")
        self.is_open = True

    def grab(self, timeout_s: float) -> Frame | FrameFault | None:
        assert self.is_open and timeout_s <= 1.0
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
        self.is_open = False


def track(window_lines: int, correction: FlatField | None = None) -> Track:
    return Track(Web(window_lines), flat_field=correction, stages=(), joins_blocks=window_lines > 0)


def ran(
    camera: ScriptedCamera,
    *,
    window_lines: int = 0,
    correction: FlatField | None = None,
    stop: threading.Event | None = None,
    clock: ManualClock | None = None,
) -> tuple[list[Frame | FrameFault], list[str]]:
    """What reached the ring, and the states that were reported."""
    capture = Capture("accountable", ring_frames=100)
    states: list[str] = []
    try:
        run_camera(
            camera,
            track(window_lines, correction),
            capture,
            stop or threading.Event(),
            clock or ManualClock(),
            lambda state, detail: states.append(f"{state} {detail}".strip()),
        )
    finally:
        assert not camera.is_open
        items = drained(capture)
        assert capture.is_finished()
    return items, states


def test_frames_and_faults_reach_the_ring_in_order_until_the_source_ends() -> None:
    items, states = ran(ScriptedCamera([frame(0), None, fault(1), frame(2)]))
    assert told(items) == [(0, "frame"), (1, "camera_error"), (2, "frame")]
    assert states == ["streaming", "finished the source has given all it had"]


def test_a_camera_that_cannot_be_opened_the_first_time_is_raised_and_ends_the_line() -> None:
    with pytest.raises(CameraError, match="plug it in"):
        ran(ScriptedCamera([frame(0)], failing_opens=(1,)))


def test_a_lost_camera_is_opened_again_with_growing_waits_and_says_so() -> None:
    clock = ManualClock()
    lost = CameraError("scripted: gone")
    camera = ScriptedCamera([frame(0), lost, frame(1)], failing_opens=(2, 3, 4))
    items, states = ran(camera, clock=clock)
    assert told(items) == [(0, "frame"), (1, "frame")]
    assert camera.opens == 5
    assert states == [
        "streaming",
        "lost scripted: gone",
        *["lost scripted: does not answer; plug it in"] * 3,
        "streaming",
        "finished the source has given all it had",
    ]
    assert 1 + 2 + 4 + 8 <= clock.monotonic_ns() / 1e9 <= 2 + 4 + 8 + 16


def test_a_camera_that_stays_lost_is_tried_at_least_twice_a_minute_until_stopped() -> None:
    clock = ManualClock()
    stop = threading.Event()

    class GoneForGood(ScriptedCamera):
        def open(self) -> None:
            if clock.monotonic_ns() > 3600e9:
                stop.set()
            super().open()

    camera = GoneForGood([CameraError("scripted: gone")], failing_opens=tuple(range(2, 10_000)))
    ran(camera, clock=clock, stop=stop)
    assert 3600 / 30 <= camera.opens <= 3600 / 15 + 10


def test_stop_ends_a_wait_for_a_lost_camera() -> None:
    stop = threading.Event()

    class Stopping(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            stop.set()

    clock = Stopping()
    camera = ScriptedCamera([CameraError("scripted: gone")], failing_opens=(2,))
    ran(camera, clock=clock, stop=stop)
    assert camera.opens == 1 and clock.monotonic_ns() < 1e9


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


def test_an_open_window_waits_for_a_lost_camera_and_its_gap_is_accounted_for() -> None:
    script: list[Frame | FrameFault | Exception | None] = [
        frame(0, shape=(4, 3, 1), first_line=0),
        CameraError("scripted: gone"),
        frame(1, shape=(4, 3, 1), first_line=26),
    ]
    items, _ = ran(ScriptedCamera(script), window_lines=10)
    assert told(items) == [(0, "frame"), (1, "lost_lines"), (2, "frame")]
    assert sum(item.lines_lost for item in items) == 22


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
    correction = flat_field(None, white.mean(axis=0, dtype=np.float32), max_gain=8.0)
    items, _ = ran(ScriptedCamera([frame(0, value=40)]), correction=correction)
    assert isinstance(items[0], Frame)
    assert items[0].image[0, :, 0].tolist() == [40, 80, 40]


def test_a_flat_field_of_another_width_is_raised_once_and_ends_the_line() -> None:
    correction = flat_field(None, np.full((8, 1), 100, np.float32), max_gain=8.0)
    with pytest.raises(FlatFieldError, match="flat field: it is 8 px wide"):
        ran(ScriptedCamera([frame(0), frame(1)]), correction=correction)


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
    capture = Capture("accountable", ring_frames=100)
    run_camera(camera, track(30), capture, threading.Event(), ManualClock(), lambda state, detail: None)
    windows = drained(capture)
    assert [window.frame_id for window in windows] == list(range(6))
    for window in windows:
        assert isinstance(window, Frame) and window.encoder == window.first_line * 4
        valid = np.ones(30, np.bool_) if window.valid is None else window.valid
        under = read_image(camera.image_at(window.first_line))
        assert camera.image_at(window.first_line) == images[window.frame_id]
        assert np.array_equal(window.image[valid], under[valid])
    assert sum(window.lines_lost for window in windows) == 3 * 5

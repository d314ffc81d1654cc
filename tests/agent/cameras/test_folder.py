"""Every file of a folder is one trigger, in order and on time, and a bad file does not end the stream."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.camera import CameraError, EndOfStream
from agent.cameras.folder import FolderCamera
from agent.clock import ManualClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import FolderSource


def fill(folder: Path, count: int) -> Path:
    for number in range(1, count + 1):
        cv2.imwrite(str(folder / f"cell{number}.png"), np.full((4, 6), number, np.uint8))
    return folder


def opened(path: Path, clock: ManualClock, *, rate_hz: float = 0.0, repeat: bool = False) -> FolderCamera:
    camera = FolderCamera("top", FolderSource(path=path, rate_hz=rate_hz, repeat=repeat), clock)
    camera.open()
    return camera


def test_frames_come_in_natural_order_with_growing_ids_and_part_ids(tmp_path: Path) -> None:
    camera = opened(fill(tmp_path, 11), ManualClock())
    frames = [camera.grab(1.0) for _ in range(11)]
    assert all(isinstance(frame, Frame) for frame in frames)
    assert [(f.frame_id, f.part_id, f.image[0, 0, 0]) for f in frames if isinstance(f, Frame)] == [
        (number - 1, f"cell{number}", number) for number in range(1, 12)
    ]
    with pytest.raises(EndOfStream):
        camera.grab(1.0)
    with pytest.raises(EndOfStream):
        camera.grab(1.0)


def test_a_repeating_folder_starts_again_and_ids_go_on(tmp_path: Path) -> None:
    camera = opened(fill(tmp_path, 2), ManualClock(), repeat=True)
    frames = [camera.grab(1.0) for _ in range(5)]
    assert [(f.frame_id, f.part_id) for f in frames if f] == [
        (0, "cell1"), (1, "cell2"), (2, "cell1"), (3, "cell2"), (4, "cell1")
    ]  # fmt: skip


def test_an_unreadable_file_is_a_fault_that_names_it_and_the_stream_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    (tmp_path / "cell2.png").write_bytes(b"torn")
    camera = opened(tmp_path, ManualClock())
    first, second, third = (camera.grab(1.0) for _ in range(3))
    assert isinstance(first, Frame) and isinstance(third, Frame) and third.frame_id == 2
    assert isinstance(second, FrameFault)
    assert (second.frame_id, second.reason, second.part_id) == (1, "camera_error", "cell2")
    assert "cell2.png" in second.detail and "replace or remove" in second.detail


def test_the_rate_is_held_on_the_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = opened(fill(tmp_path, 5), clock, rate_hz=4.0)
    captured = [camera.grab(1.0).captured_ns for _ in range(5)]  # type: ignore[union-attr]
    assert captured == [0, 250_000_000, 500_000_000, 750_000_000, 1_000_000_000]


def test_nothing_within_the_timeout_is_none_and_loses_no_file(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = opened(fill(tmp_path, 2), clock, rate_hz=1.0)
    assert camera.grab(0.1) is not None
    assert [camera.grab(0.3) for _ in range(3)] == [None, None, None]
    late = camera.grab(0.3)
    assert late is not None and late.part_id == "cell2"
    assert clock.monotonic_ns() == pytest.approx(1_000_000_000, abs=2)


def test_a_late_consumer_gets_no_burst(tmp_path: Path) -> None:
    clock = ManualClock()
    camera = opened(fill(tmp_path, 4), clock, rate_hz=10.0)
    camera.grab(1.0)
    clock.advance(5.0)
    assert camera.grab(0.0) is not None
    assert camera.grab(0.05) is None


def test_a_folder_that_vanishes_is_a_lost_camera_and_comes_back_by_opening_again(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    camera = opened(fill(folder, 2), ManualClock(), repeat=True)
    camera.grab(1.0)
    shutil.rmtree(folder)
    with pytest.raises(CameraError, match="frames: is gone"):
        camera.grab(1.0)
    camera.close()
    with pytest.raises(CameraError):
        camera.open()
    folder.mkdir()
    fill(folder, 2)
    camera.open()
    frame = camera.grab(1.0)
    assert frame is not None and (frame.frame_id, frame.part_id) == (1, "cell1")

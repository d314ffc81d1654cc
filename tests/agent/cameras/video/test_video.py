"""A video file is its pictures in order, RGB, to the end or for ever."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.camera import CameraError, EndOfStream
from agent.cameras.video.video import VideoFileCamera
from agent.clock import ManualClock
from agent.messages import FrameFault
from agent.settings.camera import VideoSource


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six pictures that get redder."""
    file = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for number in range(6):
        writer.write(np.full((48, 64, 3), (0, 0, number * 40), np.uint8))
    writer.release()
    return file


def opened(url: str, *, rate_hz: float = 0.0, repeat: bool = False) -> VideoFileCamera:
    camera = VideoFileCamera("top", VideoSource(url=url, rate_hz=rate_hz, repeat=repeat), ManualClock())
    camera.open()
    return camera


def test_every_picture_comes_once_in_order_and_in_rgb(clip: Path) -> None:
    camera = opened(str(clip))
    frames = [camera.grab(1.0) for _ in range(6)]
    assert [frame.frame_id for frame in frames if frame] == list(range(6))
    for number, frame in enumerate(frames):
        assert frame is not None and frame.image.shape == (48, 64, 3)
        red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
        assert red == pytest.approx(number * 40, abs=6) and max(green, blue) < 6
    for _ in range(2):
        with pytest.raises(EndOfStream):
            camera.grab(1.0)
    camera.close()


def test_a_repeating_clip_starts_again_and_ids_go_on(clip: Path) -> None:
    camera = opened(str(clip), repeat=True)
    frames = [camera.grab(1.0) for _ in range(14)]
    assert [frame.frame_id for frame in frames if frame] == list(range(14))
    reds = [round(float(frame.image[:, :, 0].mean()) / 40) for frame in frames if frame]
    assert reds == [0, 1, 2, 3, 4, 5] * 2 + [0, 1]
    camera.close()


def test_the_rate_is_held_on_the_clock(clip: Path) -> None:
    camera = opened(str(clip), rate_hz=10.0)
    frames = [camera.grab(1.0) for _ in range(3)]
    assert [frame.captured_ns for frame in frames if frame] == [0, 100_000_000, 200_000_000]
    camera.close()


def test_a_missing_file_and_a_file_that_is_no_video_name_the_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"nowhere\.avi: no such video file; set source\.url"):
        opened(str(tmp_path / "nowhere.avi"))
    (tmp_path / "text.avi").write_text("not a video")
    with pytest.raises(CameraError, match=r"text\.avi: is not a video .*convert or replace"):
        opened(str(tmp_path / "text.avi"))


def test_a_damaged_picture_is_a_fault_and_those_around_it_are_judged(tmp_path: Path) -> None:
    file = tmp_path / "clip.avi"
    rng = np.random.default_rng(3)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (160, 120))
    for _ in range(9):
        writer.write(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    writer.release()
    data = bytearray(file.read_bytes())
    inside = data.index(b"\xff\xd8\xff", len(data) // 2) + 2000
    data[inside : inside + 800] = bytes(800)
    file.write_bytes(data)
    camera = opened(str(file))
    items = [camera.grab(1.0) for _ in range(9)]
    faults = [item for item in items if isinstance(item, FrameFault)]
    assert all("is damaged" in fault.detail and "clip.avi" in fault.detail for fault in faults)
    assert len(faults) == 1 and [item.frame_id for item in items if item] == list(range(9))
    with pytest.raises(EndOfStream):
        camera.grab(1.0)

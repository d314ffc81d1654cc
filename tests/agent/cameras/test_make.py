"""A source setting names exactly one kind of camera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras.camera import CameraError
from agent.cameras.folder import FolderCamera
from agent.cameras.make import is_simulated, make_camera
from agent.cameras.simulated.linescan import LinescanSimCamera
from agent.cameras.video.stream import StreamCamera
from agent.cameras.video.video import VideoFileCamera
from agent.clock import ManualClock
from agent.messages import Frame
from agent.settings.camera import (
    FolderSource,
    GenicamSource,
    HarvestersSource,
    LinescanSimSource,
    Source,
    VideoSource,
)


def test_each_kind_of_source_has_its_camera(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4), np.uint8))
    clock = ManualClock()
    assert isinstance(make_camera("top", FolderSource(path=tmp_path), clock), FolderCamera)
    assert isinstance(make_camera("top", VideoSource(url="clip.avi"), clock), VideoFileCamera)
    assert isinstance(make_camera("top", VideoSource(url="rtsp://camera/1"), clock), StreamCamera)
    assert isinstance(make_camera("top", VideoSource(url="/dev/video0"), clock), StreamCamera)
    assert isinstance(make_camera("top", LinescanSimSource(path=tmp_path), clock), LinescanSimCamera)


HERE = Path("somewhere")


@pytest.mark.parametrize(
    ("source", "simulated"),
    [
        (FolderSource(path=HERE), True),
        (FolderSource(path=HERE, repeat=True, rate_hz=5), True),
        (FolderSource(path=HERE, watch=True), False),  # a camera that hands its pictures over as files
        (VideoSource(url="clip.avi"), True),
        (VideoSource(url="rtsp://camera/1"), False),
        (VideoSource(url="/dev/video0"), False),
        (LinescanSimSource(path=HERE), True),
        (GenicamSource(address="10.0.0.7"), False),
        (HarvestersSource(producer=HERE), False),
    ],
)
def test_what_is_shown_again_is_simulated_and_what_passes_now_is_not(source: Source, simulated: bool) -> None:
    assert is_simulated(source) is simulated


def test_a_line_sensor_scrolls_the_images_of_its_folder_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2):
        cv2.imwrite(str(tmp_path / f"cell{number}.png"), np.full((4, 4), number, np.uint8))
    camera = make_camera("top", LinescanSimSource(path=tmp_path, height=8), ManualClock())
    camera.open()
    frame = camera.grab(10.0)
    assert isinstance(frame, Frame) and frame.image[:, 0, 0].tolist() == [2] * 4 + [10] * 4


def test_a_line_sensor_without_images_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="holds no image"):
        make_camera("top", LinescanSimSource(path=tmp_path), ManualClock())

"""Lines, encoder and clock of the simulated sensor agree through losses, belt stops and jitter."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cameras.camera import CameraError, CameraMisconfigured, EndOfStream
from agent.cameras.make import make_camera
from agent.cameras.simulated.linescan import LinescanSimCamera
from agent.clock import ManualClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import LinescanSimSource

RATE_HZ = 1000.0


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Twenty lines in three pictures; the value of a line is its number."""
    files = []
    for name, first, last in (("a", 0, 7), ("b", 7, 8), ("c", 8, 20)):
        rows = np.arange(first, last, dtype=np.uint8)[:, np.newaxis]
        files.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(files[-1]), np.repeat(rows, 5, axis=1))
    return files


def opened(images: list[Path], clock: ManualClock, **settings: object) -> LinescanSimCamera:
    given = {"path": Path(), "line_rate_hz": RATE_HZ, "height": 4, **settings}
    camera = LinescanSimCamera("top", images, LinescanSimSource.model_validate(given), clock)
    camera.open()
    return camera


def grabbed(camera: LinescanSimCamera, count: int) -> list[Frame]:
    frames = [camera.grab(100.0) for _ in range(count)]
    assert all(isinstance(frame, Frame) for frame in frames)
    return [frame for frame in frames if isinstance(frame, Frame)]


def test_blocks_carry_an_absolute_coordinate_that_says_what_they_show(images: list[Path]) -> None:
    frames = grabbed(opened(images, ManualClock(), encoder_ticks_per_line=3), 30)
    assert [frame.frame_id for frame in frames] == list(range(30))
    assert [frame.first_line for frame in frames] == [4 * n for n in range(30)]
    assert [frame.encoder for frame in frames] == [12 * n for n in range(30)]
    for frame in frames:
        assert frame.image.shape == (4, 5, 1)
        assert frame.image[:, 0, 0].tolist() == [(frame.first_line + row) % 20 for row in range(4)]


def test_a_block_is_there_when_its_last_line_has_passed(images: list[Path]) -> None:
    frames = grabbed(opened(images, ManualClock()), 5)
    assert [frame.captured_ns for frame in frames] == [4_000_000 * n for n in range(1, 6)]
    assert [frame.device_ns for frame in frames] == [4_000_000 * n for n in range(5)]


def test_lost_lines_are_never_delivered_and_move_the_coordinate(images: list[Path]) -> None:
    frames = grabbed(opened(images, ManualClock(), lose_every_blocks=3, lose_lines=7), 10)
    assert [frame.lines_lost for frame in frames] == [0, 0, 0, 7, 0, 0, 7, 0, 0, 7]
    assert [frame.first_line for frame in frames] == [0, 4, 8, 19, 23, 27, 38, 42, 46, 57]
    for frame in frames:
        assert frame.image[0, 0, 0] == frame.first_line % 20
        assert frame.encoder == frame.first_line * 4
        assert frame.captured_ns == (frame.first_line + 4) * 1_000_000


def test_the_encoder_stands_while_the_belt_stands(images: list[Path]) -> None:
    clock = ManualClock()
    camera = opened(images, clock, stop_every_blocks=2, stop_s=10.0)
    frames = grabbed(camera, 2)
    assert camera.grab(9.0) is None
    frames += grabbed(camera, 3)
    assert [frame.first_line for frame in frames] == [0, 4, 8, 12, 16]
    assert [frame.captured_ns // 1_000_000 for frame in frames] == [4, 8, 10_012, 10_016, 20_020]


def test_a_slow_consumer_does_not_slow_the_belt(images: list[Path]) -> None:
    clock = ManualClock()
    camera = opened(images, clock)
    clock.advance(0.0201)
    late = [camera.grab(0.0) for _ in range(5)]
    assert [frame.captured_ns for frame in late if isinstance(frame, Frame)] == [
        4_000_000 * n for n in range(1, 6)
    ]
    assert camera.grab(0.0) is None
    first = late[0]
    assert first is not None
    age_s = (clock.utc_now() - first.captured_at).total_seconds()
    assert age_s == pytest.approx(0.0161, abs=1e-5)


def test_jitter_delays_delivery_within_its_ratio_and_is_the_same_for_a_seed(images: list[Path]) -> None:
    def lateness(seed: int) -> list[int]:
        frames = grabbed(opened(images, ManualClock(), jitter=0.5, seed=seed), 40)
        return [frame.captured_ns - 4_000_000 * (n + 1) for n, frame in enumerate(frames)]

    assert lateness(1) == lateness(1) != lateness(2)
    assert 0 <= min(lateness(1)) < max(lateness(1)) <= 2_000_000


def test_a_strip_that_does_not_repeat_ends_with_a_partial_block(images: list[Path]) -> None:
    camera = opened(images, ManualClock(), height=16, repeat=False)
    assert [frame.image.shape[0] for frame in grabbed(camera, 2)] == [16, 4]
    for _ in range(2):
        with pytest.raises(EndOfStream):
            camera.grab(100.0)


def test_a_picture_that_does_not_fit_is_one_fault_between_the_blocks(
    images: list[Path], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "colour.png"), np.zeros((50, 5, 3), np.uint8))
    camera = opened(
        [images[0], tmp_path / "colour.png", *images[1:], tmp_path / "colour.png"],
        ManualClock(),
        repeat=False,
    )
    items = []
    with pytest.raises(EndOfStream):
        while True:
            items.append(camera.grab(100.0))
    frames = [item for item in items if isinstance(item, Frame)]
    faults = [item for item in items if isinstance(item, FrameFault)]
    assert [int(value) for frame in frames for value in frame.image[:, 0, 0]] == list(range(20))
    assert [fault.reason for fault in faults] == ["camera_error"] * 2
    assert all("colour.png" in fault.detail and "3 channels" in fault.detail for fault in faults)
    assert [item.frame_id for item in items if item] == list(range(7))


def test_no_images_and_no_usable_image_are_errors_at_open(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"camera top: no images .*source\.path"):
        opened([], ManualClock())
    with pytest.raises(CameraError, match=r"gone\.png"):
        opened([tmp_path / "gone.png"], ManualClock())


def test_image_at_is_the_ground_truth_of_a_line_through_losses(images: list[Path]) -> None:
    camera = opened(images, ManualClock(), lose_every_blocks=2, lose_lines=5)
    grabbed(camera, 20)
    owner = [0] * 7 + [1] + [2] * 12
    assert [camera.image_at(line) for line in range(60)] == [images[owner[line % 20]] for line in range(60)]


@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    suffix=st.sampled_from([".png", ".jpg", ".tif"]),
)
@settings(max_examples=25, deadline=None)
def test_images_of_several_widths_are_refused_before_the_belt_runs(widths: list[int], suffix: str) -> None:
    with TemporaryDirectory() as folder:
        for number, width in enumerate(widths):
            cv2.imwrite(f"{folder}/part{number}{suffix}", np.full((3, width), 9, np.uint8))
        (Path(folder) / "torn.png").write_bytes(b"torn")
        source = LinescanSimSource(path=Path(folder))
        camera = make_camera("top", source, ManualClock())
        if len({*widths}) == 1:
            camera.open()
            return
        with pytest.raises(CameraMisconfigured, match=f"have {len({*widths})} .*; scale them"):
            camera.open()

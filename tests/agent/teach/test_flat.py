"""A flat field evens out its target and says where it comes from; what is of no use replaces nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from agent.cameras.images import ImageError
from agent.clock import ManualClock
from agent.settings import web as web_settings
from agent.settings.camera import Camera
from agent.teach.flat import measure_flat
from agent.track.calibration import MIN_LINES, load, read
from agent.track.flatfield import FlatFieldError
from tests.agent.teach.targets import camera, made, target


def test_a_calibration_from_files_evens_out_its_target_and_says_where_it_comes_from(tmp_path: Path) -> None:
    file = made(tmp_path)
    field = load("top", web_settings.FlatField(file=file))
    assert field is not None
    before, after = target(150, seed=9), field.correct(target(150, seed=9))
    assert before.mean(axis=0).std() > 5 * after.mean(axis=0).std()
    _, _, provenance = read(file)
    assert (provenance.camera, provenance.bit_depth, provenance.exposure_us) == ("top", 8, 40.0)
    assert (provenance.dark_lines, provenance.white_lines) == (MIN_LINES, MIN_LINES)
    assert provenance.created == "2026-01-01T00:00:00.000Z" and "white.png" in provenance.source
    assert [one.name for one in file.parent.iterdir()] == ["top.npz"]


def test_the_camera_itself_is_a_source_and_somebody_is_asked_for_each_target(tmp_path: Path) -> None:
    asked: list[str] = []
    one = camera(tmp_path, target(150))
    flat = measure_flat(
        one,
        dark=None,
        white="camera",
        lines=300,
        file=tmp_path / "f.npz",
        exposure_us=None,
        clock=ManualClock(),
        ready=asked.append,
    )
    assert asked == ["show the white target"]
    assert flat.provenance.white_lines == 320 and flat.provenance.dark_lines == 0
    assert flat.uneven_before > 5 * flat.uneven_after


def test_a_calibration_survives_a_refused_one(tmp_path: Path) -> None:
    file = made(tmp_path)
    before = file.read_bytes()
    with pytest.raises(FlatFieldError, match="shorten the exposure"):
        made(tmp_path, white=target(255))
    assert file.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_calibration_replaces_only_an_earlier_one_of_its_camera(tmp_path: Path, suffix: str) -> None:
    white = tmp_path / f"white{suffix}"
    cv2.imwrite(str(white), target(200, lines=400))
    before = white.read_bytes()
    wanted = camera(tmp_path, target(200))
    ours = tmp_path / "top.npz"

    def calibrate(file: Path, of: Camera = wanted) -> None:
        measure_flat(
            of, dark=None, white=str(white), lines=1, file=file, exposure_us=None,
            clock=ManualClock(), ready=lambda please: None,
        )  # fmt: skip

    with pytest.raises(FlatFieldError, match=r"is there already and no calibration.*--out"):
        calibrate(white)
    with pytest.raises(FlatFieldError, match="no calibration"):
        calibrate(tmp_path)
    calibrate(ours)
    calibrate(ours)
    with pytest.raises(FlatFieldError, match=f"is the calibration of camera {wanted.name}"):
        calibrate(ours, wanted.model_copy(update={"name": "another"}))
    assert white.read_bytes() == before and read(ours)[2].camera == wanted.name


def test_a_damaged_picture_calibrates_nothing(tmp_path: Path) -> None:
    white = tmp_path / "white.jpg"
    cv2.imwrite(str(white), target(200, lines=600))
    data = white.read_bytes()
    white.write_bytes(data[: len(data) // 3] + bytes(len(data) // 3) + data[-len(data) // 3 :])
    with pytest.raises(ImageError, match="is damaged"):
        measure_flat(
            camera(tmp_path, target(200)), dark=None, white=str(white), lines=1, file=tmp_path / "f.npz",
            exposure_us=None, clock=ManualClock(), ready=lambda please: None,
        )  # fmt: skip
    assert not (tmp_path / "f.npz").exists()

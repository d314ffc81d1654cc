"""A calibration evens out its target and says where it comes from; one that is of no use is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.images import ImageError
from agent.clock import ManualClock
from agent.errors import PlumblineError
from agent.messages import Pixels
from agent.settings import web as web_settings
from agent.settings.camera import Camera, LinescanSimSource
from agent.settings.settings import Settings
from agent.teach.flat import measure_flat
from agent.teach.scale import measure_scale
from agent.teach.source import TeachError, camera_of
from agent.track.calibration import MIN_LINES, averages, load, measured, read
from agent.track.flatfield import FlatFieldError
from agent.track.pitch import PitchError, period_across, period_down

WIDTH = 96


def target(level: float, *, lines: int = MIN_LINES, seed: int = 0) -> Pixels:
    """An even target under uneven light on an uneven sensor."""
    rng = np.random.default_rng(seed)
    light = 1 - 0.5 * np.linspace(-1, 1, WIDTH) ** 2
    picture = 6 + level * light + rng.normal(0, 1, (lines, WIDTH))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)[:, :, np.newaxis]


def camera(tmp_path: Path, picture: Pixels) -> Camera:
    """A simulated line camera that sees `picture` for ever."""
    file = tmp_path / "scene.png"
    cv2.imwrite(str(file), picture)
    source = LinescanSimSource(path=file, line_rate_hz=1e6, height=64)
    return Camera(name="top", source=source, web=web_settings.Web(window_lines=64))


def made(tmp_path: Path, dark: Pixels | None = None, white: Pixels | None = None) -> Path:
    """A calibration file as the command writes it, from picture files."""
    cv2.imwrite(str(tmp_path / "dark.png"), target(0) if dark is None else dark)
    cv2.imwrite(str(tmp_path / "white.png"), target(150) if white is None else white)
    file = tmp_path / "deep" / "top.npz"
    measure_flat(
        camera(tmp_path, target(150)),
        dark=str(tmp_path / "dark.png"),
        white=str(tmp_path / "white.png"),
        lines=1,
        file=file,
        exposure_us=40.0,
        clock=ManualClock(),
        ready=lambda please: None,
    )
    return file


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


def test_no_file_means_no_correction() -> None:
    assert load("top", web_settings.FlatField()) is None


@pytest.mark.parametrize(
    ("dark", "white", "words"),
    [
        (0.0, 255.0, r"white target: .* at 255, at most .* shorten the exposure"),
        (0.0, 12.0, r"white target: it is .* above dark, at least 10%.*lengthen the exposure"),
        (120.0, 200.0, r"dark picture: its mean is .* cover the lens"),
    ],
)
def test_targets_of_no_use_are_refused_with_what_to_do(dark: float, white: float, words: str) -> None:
    with pytest.raises(FlatFieldError, match=words):
        measured(averages([target(dark)], 8), averages([target(white)], 8), 8)


def test_too_few_lines_and_pictures_that_differ_are_refused() -> None:
    with pytest.raises(FlatFieldError, match=f"10 lines are too few to average, {MIN_LINES} are needed"):
        measured(None, averages([target(150, lines=10)], 8), 8)
    with pytest.raises(FlatFieldError, match="pictures of one target differ: 90 px"):
        averages([target(150), target(150)[:, :90]], 8)


def test_a_dark_target_of_another_width_is_refused() -> None:
    with pytest.raises(FlatFieldError, match="dark is 90 px wide"):
        measured(averages([target(0)[:, :90]], 8), averages([target(150)], 8), 8)


def rewritten(file: Path, **arrays: object) -> bytes:
    with np.load(file) as stored:
        kept = {name: stored[name] for name in stored}
    data = io.BytesIO()
    np.savez(data, **{**kept, **arrays})  # type: ignore[arg-type]
    return data.getvalue()


def test_a_file_that_is_missing_damaged_or_of_another_camera_is_named_with_the_remedy(tmp_path: Path) -> None:
    file = made(tmp_path)
    whole = file.read_bytes()
    bad = tmp_path / "bad.npz"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("white.npy", b"no array")
    contents = {
        "cut off": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"dark: 1\n",
        "no arrays": bad.read_bytes(),
        "pickle": rewritten(file, white=np.array([{}], object)),
        "shape": rewritten(file, white=np.zeros(4, np.float32)),
        "not a number": rewritten(file, white=np.full((WIDTH, 1), np.nan, np.float32)),
        "provenance": rewritten(file, provenance=np.frombuffer(b'{"camera": 1}', np.uint8)),
    }
    for what, content in contents.items():
        bad.write_bytes(content)
        with pytest.raises(FlatFieldError) as refused:
            load("top", web_settings.FlatField(file=bad))
        assert f"camera top: flat_field.file {bad}" in str(refused.value), what
        assert "plumbline calibrate flat" in str(refused.value), what
    with pytest.raises(FlatFieldError, match=r"gone\.npz: no such file; make it anew"):
        load("top", web_settings.FlatField(file=tmp_path / "gone.npz"))
    with pytest.raises(FlatFieldError, match=r"camera side: .* made for camera top; .*--camera side"):
        load("side", web_settings.FlatField(file=file))


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


def test_a_camera_that_is_not_there_or_gives_nothing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TeachError, match="--camera side: the settings have no such camera, there are top"):
        camera_of(Settings(), "side")
    silent = camera(tmp_path, target(150)).model_copy(
        update={"source": LinescanSimSource(path=tmp_path / "scene.png", line_rate_hz=0.001)}
    )
    with pytest.raises(TeachError, match="camera top: no picture within 10 s; start the belt"):
        measure_scale(silent, source="camera", across=True, down=False, lines=9, clock=ManualClock())


# Scale

WITHIN_PX = 8  # points across a pixel


def stripes(period_px: float, *, checker: bool, seed: int, lines: int = 128, width: int = 700) -> Pixels:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:lines, 0 : width * WITHIN_PX] + 0.5
    x /= WITHIN_PX
    wave = np.sin(2 * np.pi * (x / period_px + rng.random()))
    if checker:
        wave = wave * np.sin(2 * np.pi * (y / period_px + rng.random()))
    shade = 1 - 0.4 * (x / width - 0.5) ** 2
    points = (120 + 80 * np.tanh(4 * wave)) * shade
    # A pixel sees its whole area: points alone would fold the edges' harmonics onto the fundamental.
    picture = points.reshape(lines, width, WITHIN_PX).mean(axis=2) + rng.normal(0, 4, (lines, width))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)[:, :, np.newaxis]


@pytest.mark.slow
@given(st.floats(6, 90), st.booleans(), st.integers(0, 2**16))
def test_the_period_of_a_target_is_found_within_its_uncertainty(
    period_px: float, checker: bool, seed: int
) -> None:
    found = period_across(stripes(period_px, checker=checker, seed=seed))
    assert abs(found.period_px - period_px) <= found.uncertainty_px
    assert found.uncertainty_px <= 0.005 * period_px


def test_down_the_web_the_period_is_in_lines() -> None:
    found = period_down(stripes(12.5, checker=False, seed=1).transpose(1, 0, 2))
    assert found.period_px == pytest.approx(12.5, abs=0.01)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.full((50, 700, 1), 90, np.uint8), "contrast of 0.0%"),
        (np.random.default_rng(0).integers(0, 255, (64, 700, 1), np.uint8), "no regular target"),
        (stripes(200.0, checker=False, seed=0), "no regular target"),
        (stripes(10.0, checker=False, seed=0)[:, :20], "a picture of 20 px"),
    ],
    ids=["even", "noise", "too coarse", "too narrow"],
)
def test_pictures_without_a_regular_target_are_refused(picture: Pixels, words: str) -> None:
    with pytest.raises(PitchError, match=words):
        period_across(picture)


def test_a_target_that_is_not_flat_is_refused() -> None:
    bent = np.concatenate([stripes(period, checker=False, seed=0, lines=16) for period in (20, 20, 20, 21)])
    with pytest.raises(PitchError, match=r"periods from .* lay the target flat"):
        period_across(bent)


def test_the_scale_of_a_picture_file(tmp_path: Path) -> None:
    file = tmp_path / "target.png"
    cv2.imwrite(str(file), stripes(25.0, checker=True, seed=3, lines=500))
    one = camera(tmp_path, target(150))
    across, down = measure_scale(one, source=str(file), across=True, down=True, lines=1, clock=ManualClock())
    assert across is not None and across.period_px == pytest.approx(25.0, abs=0.01)
    assert down is not None and down.period_px == pytest.approx(25.0, abs=0.02)
    assert issubclass(PitchError, PlumblineError)

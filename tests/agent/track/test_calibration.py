"""A calibration evens out its target and says where it comes from; one that is of no use is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Floats, Pixels
from agent.settings import web as web_settings
from agent.track.calibration import MIN_LINES, averages, load, measured
from agent.track.flatfield import FlatFieldError
from agent.track.pitch import PitchError, period_across, period_down
from tests.agent.teach.targets import WIDTH, made, stripes, target
from tests.odd_files import no_regular_files


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


def compressed(white: Floats) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, white=white)
    return data.getvalue()


def lying(columns: int) -> bytes:
    """An array that says it has so many columns, and has none."""
    header, data = io.BytesIO(), io.BytesIO()
    said = {"descr": "<f4", "fortran_order": False, "shape": (columns, 1)}
    np.lib.format.write_array_header_1_0(header, said)  # type: ignore[no-untyped-call]
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("white.npy", header.getvalue())
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
        "packed tight": compressed(np.zeros((4_000_001, 1), np.float32)),
        "a lying header": lying(1 << 45),
        "provenance": rewritten(file, provenance=np.frombuffer(b'{"camera": 1}', np.uint8)),
    }
    for what, content in contents.items():
        bad.write_bytes(content)
        with pytest.raises(FlatFieldError) as refused:
            load("top", web_settings.FlatField(file=bad))
        assert f"camera top: flat_field.file {bad}" in str(refused.value), what
        assert "plumbline calibrate flat" in str(refused.value), what
    with pytest.raises(FlatFieldError, match=r"gone\.npz: No such file or directory; make it anew"):
        load("top", web_settings.FlatField(file=tmp_path / "gone.npz"))
    for odd in no_regular_files(tmp_path):
        with pytest.raises(FlatFieldError, match=r"flat_field\.file .*: is (no regular file|larger than)"):
            load("top", web_settings.FlatField(file=odd))
    with pytest.raises(FlatFieldError, match=r"camera side: .* made for camera top; .*--camera side"):
        load("side", web_settings.FlatField(file=file))


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

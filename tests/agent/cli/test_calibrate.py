"""`plumbline calibrate` measures flat field and scale."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.agent.cli.calling import Plumbline


def station_with_target(folder: Path, white: int) -> Path:
    """Settings of a simulated line camera before an even target, and a checker of 20 px beside them."""
    light = white * (1 - 0.5 * np.linspace(-1, 1, 200) ** 2)
    target = np.clip(light + np.random.default_rng(0).normal(0, 1, (300, 200)), 0, 255)
    cv2.imwrite(str(folder / "target.png"), target.round().astype(np.uint8))
    y, x = np.mgrid[0:400, 0:600] + 0.5
    checker = (np.sin(2 * np.pi * x / 20) * np.sin(2 * np.pi * y / 10) > 0) * 200
    cv2.imwrite(str(folder / "checker.png"), checker.astype(np.uint8))
    source = {"kind": "linescan-sim", "path": "target.png", "line_rate_hz": 100000.0}
    file = folder / "station.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "cameras": [{"name": "top", "source": source}]}))
    return file


def test_calibrate_flat_stores_a_file_that_the_settings_can_name(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = station_with_target(tmp_path, 150)
    ended = plumbline(
        "calibrate", "flat", "-c", station, "--camera", "top", "--dark", "none", "--lines", "500"
    )
    stored = tmp_path / "calibration" / "top.npz"
    assert ended.code == 0 and stored.exists(), ended.err
    assert "200 columns of 8 bits from 0 dark and" in ended.out and f"file: {stored.resolve()}" in ended.out
    settings = yaml.safe_load(station.read_text())
    settings["cameras"][0]["flat_field"] = {"file": "calibration/top.npz"}
    station.write_text(yaml.safe_dump(settings))
    again = plumbline(
        "calibrate", "flat", "-c", station, "--camera", "top", "--white", tmp_path / "target.png"
    )
    assert again.code == 2 and "dark picture: its mean is" in again.complaint()
    assert plumbline("validate", "--no-files", station).code == 0


def test_calibrate_flat_refuses_a_saturated_target_and_an_unknown_camera(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    station = station_with_target(tmp_path, 300)
    ended = plumbline(
        "calibrate", "flat", "-c", station, "--camera", "top", "--dark", "none", "--lines", "300"
    )
    assert ended.code == 2 and "shorten the exposure" in ended.complaint()
    assert not (tmp_path / "calibration").exists()
    ended = plumbline("calibrate", "flat", "-c", station, "--camera", "side")
    assert ended.code == 2 and "no such camera, there are top" in ended.complaint()


def test_calibrate_scale_says_what_to_set_and_how_sure_it_is(plumbline: Plumbline, tmp_path: Path) -> None:
    station, checker = station_with_target(tmp_path, 150), tmp_path / "checker.png"
    ended = plumbline(
        "calibrate", "scale", "-c", station, "--camera", "top", "--pitch-mm", "2", "--source", checker
    )
    across, down = (line.split() for line in ended.out.splitlines())
    assert (across[0], float(across[1])) == ("mm_per_px:", pytest.approx(0.1, rel=1e-3))
    assert (down[0], float(down[1])) == ("mm_per_line:", pytest.approx(0.2, rel=1e-3))
    assert "+-" in across and "%," in across[4]
    ended = plumbline(
        "calibrate", "scale", "-c", station, "--camera", "top", "--pitch-mm", "2", "--lines", "300"
    )
    assert ended.code == 2 and "no regular target" in ended.complaint()

"""Targets as a camera sees them, and what is measured from them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from agent.clock import ManualClock
from agent.messages import Pixels
from agent.settings import web as web_settings
from agent.settings.camera import Camera, LinescanSimSource
from agent.teach.flat import measure_flat
from agent.track.calibration import MIN_LINES

WIDTH = 96
WITHIN_PX = 8  # points across a pixel


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

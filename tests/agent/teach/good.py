"""Pictures of good parts that are made up: a plate with grain, marks in fixed places, and light."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from agent.messages import Pixels

SHAPE = (96, 128)


def plate(seed: int, *, level: float = 120, kind: int = 0) -> Pixels:
    """(96, 128, 1); another `kind` is another product."""
    rng = np.random.default_rng(seed)
    picture = np.full(SHAPE, level, np.float32)
    for index in range(4):
        at = (20 + 28 * index, 30 if kind == 0 else 70)
        cv2.circle(picture, at, 9, level + (60 if kind == 0 else -60), -1)
    picture += cv2.GaussianBlur(rng.normal(0, 40, SHAPE), (0, 0), 3) + rng.normal(0, 4, SHAPE)
    return np.clip(picture, 0, 255).astype(np.uint8)[..., None]


def write(folder: Path, name: str, picture: Pixels) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(folder / name), picture)
    return folder / name


def parts(folder: Path, count: int) -> Path:
    for number in range(count):
        write(folder, f"part{number:03}.png", plate(number))
    return folder

"""A plain folder as a new user has it: JPEGs of good parts, and some bad ones beside them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.models.tiny import scratched, woven


def folder(root: Path, good: int = 60, bad: int = 8, *, plain: bool = False) -> Path:
    rng = np.random.default_rng(0)
    _write(root if plain else root / "good", [woven(rng) for _ in range(good)])
    if bad:
        _write(root / "bad", [scratched(woven(rng), rng)[0] for _ in range(bad)])
    return root


def _write(place: Path, pictures: list[np.ndarray]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(place / f"{number:03}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])

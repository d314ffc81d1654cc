"""What scrolls past the simulated sensor: pictures stacked for ever, or noise that a test can make again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tests.gige.pixels import Grey


def noise(width: int, lines: int, seed: int) -> Grey:
    """(lines, width) of 16 bits, every line another one; a camera of fewer bits shows the upper ones."""
    return np.random.default_rng(seed).integers(0, 1 << 16, (lines, width), np.uint16)


def stacked(files: Sequence[Path]) -> Grey:
    """The pictures top to bottom, grey, their 8 bits as the upper ones of 16."""
    pictures = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture is None:
            raise SystemExit(f"{file}: is no image; remove it from the simulator's list")
    return np.concatenate([picture.astype(np.uint16) << 8 for picture in pictures])


def shown(web: Grey, bits: int) -> Grey:
    """The web as a sensor of so many bits sees it."""
    return (web >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)


def lines_at(web: Grey, positions: npt.NDArray[np.int64]) -> Grey:
    """(lines, width): the web's rows at these places, which repeat for ever in both directions."""
    return web[positions % len(web)]

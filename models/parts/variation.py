"""The same good part on another day: what may differ between two good parts of one product."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Pixels


def varied(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """The same good part on another day: exposure, lamp, focus, noise and place vary.

    Parts of later batches differ from the training parts in just these ways; a student that has not
    seen them takes a new batch for defects.
    """
    height, width = tile.shape[:2]
    picture: npt.NDArray[np.floating] = tile.astype(np.float32)
    if rng.random() < 0.5:
        zoom, shift = rng.uniform(0.94, 1.06), rng.uniform(-8, 8, 2)
        move = np.array(
            [[zoom, 0, (1 - zoom) * width / 2 + shift[0]], [0, zoom, (1 - zoom) * height / 2 + shift[1]]]
        )
        moved = cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        picture = np.asarray(moved, np.float32).reshape(tile.shape)
    picture = 255 * np.clip(picture / 255, 0, 1) ** rng.uniform(0.75, 1.35)
    picture = (picture - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-20, 20)
    if rng.random() < 0.4:
        lamp = cv2.resize(rng.uniform(0.85, 1.15, (3, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        picture = picture * np.asarray(lamp, np.float32)[..., None]
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0))
        picture = np.asarray(blurred, np.float32).reshape(tile.shape)
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, rng.uniform(1, 6), picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)

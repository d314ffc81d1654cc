"""The same good part on another day: place, exposure, grain, lamp, focus and noise vary.

Parts of later batches differ from the training parts in just these ways; a student that has not seen them
takes a new batch for defects.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Flags, Pixels

EXPOSURES = 0.65, 1.45  # of the one that parts were taken at
SHIFT_PX = 2


def moved(tile: Pixels, place: Flags | None, rng: np.random.Generator) -> tuple[Pixels, Flags | None]:
    """Half of the time zoomed and shifted a little, with its foreground (H, W) where it has one."""
    if rng.random() < 0.5:
        return tile, place
    height, width = tile.shape[:2]
    zoom, shift = rng.uniform(0.94, 1.06), rng.uniform(-8, 8, 2)
    move = np.array(
        [[zoom, 0, (1 - zoom) * width / 2 + shift[0]], [0, zoom, (1 - zoom) * height / 2 + shift[1]]]
    )
    picture = cv2.warpAffine(tile, move, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    if place is not None:
        kept = cv2.warpAffine(
            place.astype(np.uint8),
            move,
            (width, height),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        place = np.asarray(kept, np.bool_)
    return np.asarray(picture, np.uint8).reshape(tile.shape), place


def at_another_exposure(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Brighter or darker, and clipped, as the camera gives it."""
    return np.asarray(np.clip(tile * np.float32(rng.uniform(*EXPOSURES)), 0, 255), np.uint8)


def at_exposure(picture: Pixels, factor: float) -> Pixels:
    """`factor` times as bright, and clipped."""
    return np.asarray(np.clip(picture * np.float32(factor), 0, 255).round(), np.uint8)


def out_of_focus(picture: Pixels) -> Pixels:
    """By a Gaussian of 1 px."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8).reshape(picture.shape)


def shifted(picture: Pixels) -> Pixels:
    """Down and to the right, as a part that lies a little elsewhere; what comes in is mirrored."""
    wide = np.pad(picture, ((SHIFT_PX, 0), (SHIFT_PX, 0), (0, 0)), mode="reflect")
    return np.ascontiguousarray(wide[:-SHIFT_PX, :-SHIFT_PX])


def relit(tile: Pixels, rng: np.random.Generator) -> Pixels:
    """Another gamma, contrast and brightness; at times another grain, lamp, focus and noise."""
    height, width = tile.shape[:2]
    picture: npt.NDArray[np.floating] = 255 * (tile.astype(np.float32) / 255) ** rng.uniform(0.75, 1.35)
    picture = (picture - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-20, 20)
    if rng.random() < 0.4:
        smooth = cv2.GaussianBlur(picture, (0, 0), 2 * 10 ** rng.random()).reshape(tile.shape)
        picture = smooth + (picture - smooth) * rng.uniform(0.5, 1.8)
    if rng.random() < 0.4:
        lamp = cv2.resize(rng.uniform(0.85, 1.15, (3, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        picture = picture * np.asarray(lamp, np.float32)[..., None]
    if rng.random() < 0.3:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0))
        picture = np.asarray(blurred, np.float32).reshape(tile.shape)
    if rng.random() < 0.4:
        picture = picture + rng.normal(0, rng.uniform(1, 6), picture.shape)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)

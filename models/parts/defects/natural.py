"""Defects that no training sees: every choice is made on them, so that none favours what was learned.

NSA (Schlüter et al., ECCV 2022, arXiv 2109.15222): pieces of another good part, resized, blended in by
Poisson image editing (Perez et al., 2003), so that no edge gives them away.

What we changed: sizes are shares of the shorter side; pieces are turned and of more contrast too, because on
a texture an upright piece is a good part; half of them keep the stronger gradient of both pictures (mixed
cloning); the label is where pixels changed, as for all of ours.
"""

from __future__ import annotations

import cv2
import numpy as np

from agent.messages import Flags, Pixels
from models.parts.defects.anomalies import TRIES, changed
from models.parts.defects.masks import Rng
from models.parts.defects.sources import to_pixels

SIDES = (0.05, 0.5)  # of a piece, as shares of the shorter side
SHAPE, SCALE = 2.0, 0.06  # of the gamma distribution that sides are drawn from, above the smallest
RESIZED = 2.0  # at most, up or down
CONTRAST = 2.5  # at most
VISIBLE_SHARE = 0.0005  # of the picture must have changed
MIN_PX = 6


def spoil_unseen(
    image: Pixels, other: Pixels, rng: Rng, *, foreground: Flags | None = None
) -> tuple[Pixels, Flags]:
    """The image with one to three blended pieces of `other`, uint8 (H, W, C), and where it changed.

    Nothing outside the foreground changes. Drawn anew a few times while too little changed; the mask may be
    empty all the same, where the two parts are alike or there is no foreground.
    """
    mask = np.zeros(image.shape[:2], np.bool_)
    spoilt = image
    for _ in range(TRIES):
        spoilt = image
        for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])):
            spoilt = _with_piece(spoilt, other, foreground, rng)
        mask = changed(image, spoilt)
        if mask.mean() >= VISIBLE_SHARE:
            break
    return spoilt, mask


def _with_piece(image: Pixels, other: Pixels, foreground: Flags | None, rng: Rng) -> Pixels:
    height, width, channels = image.shape
    down, along = (min(_side(image, rng), side - 2) for side in (height, width))
    resize = RESIZED ** rng.uniform(-1, 1)
    source = _piece(other, max(1, round(down / resize)), max(1, round(along / resize)), rng)
    resized = cv2.resize(source, (along, down), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    middle = resized.mean((0, 1))
    piece = to_pixels(middle + np.float32(rng.uniform(1, CONTRAST)) * (resized - middle))
    top, left = int(rng.integers(1, height - down)), int(rng.integers(1, width - along))
    cloning = cv2.MIXED_CLONE if rng.random() < 0.5 else cv2.NORMAL_CLONE
    blended = cv2.seamlessClone(
        np.repeat(piece.reshape(down, along, -1), 3 // channels, axis=2),
        np.repeat(image, 3 // channels, axis=2),
        np.full((down, along), 255, np.uint8),
        (left + along // 2, top + down // 2),
        cloning,
    )[..., :channels]
    inside = np.zeros((height, width), np.bool_)
    inside[top : top + down, left : left + along] = True
    if foreground is not None:
        inside &= foreground
    return np.where(inside[..., None], blended, image).astype(np.uint8)


def _side(image: Pixels, rng: Rng) -> int:
    share = float(min(SIDES[0] + rng.gamma(SHAPE, SCALE), SIDES[1]))
    return max(MIN_PX, int(share * min(image.shape[:2]) + 0.5))


def _piece(other: Pixels, down: int, along: int, rng: Rng) -> Pixels:
    other = np.rot90(other, int(rng.integers(4)))
    down, along = min(down, other.shape[0]), min(along, other.shape[1])
    top = int(rng.integers(0, other.shape[0] - down + 1))
    left = int(rng.integers(0, other.shape[1] - along + 1))
    return np.ascontiguousarray(other[top : top + down, left : left + along])

"""Synthetic defects: where (masks) and what (sources), always labelled only where pixels changed.

The odds are the whole mix. What `natural.py` makes is not in it: choices are made on that. All pictures are
uint8 (H, W, C), masks bool (H, W), randomness a numpy Generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agent.messages import Flags, Pixels
from models.parts.defects.masks import (
    Rng,
    Weights,
    blob,
    broad,
    crack,
    patch,
    perlin,
    region,
    scar,
    stripe,
)
from models.parts.defects.sources import (
    checker,
    cloud,
    elsewhere,
    faint,
    foreign,
    grain,
    gratings,
    inverted,
    neutral,
    shade,
    shuffled,
    texture,
    to_pixels,
)

Shape = Callable[[int, int, Rng], Weights]
Source = Callable[[Pixels, Pixels, Rng], Pixels]

CHANGED_GREY_LEVELS = 5  # a pixel counts as defective when it moved at least this far
TRIES = 8  # shapes drawn until one meets the foreground

SHAPES: tuple[Shape, ...] = (blob, crack, region, stripe, perlin, patch, scar, broad)
SHAPE_ODDS = (0.12, 0.33, 0.13, 0.06, 0.22, 0.04, 0.05, 0.05)
# Thin ones are shades of what they cross, often faint; CutPaste's are the part itself; broad ones are light.
OWN_SOURCE: dict[Shape, Source] = {
    crack: shade,
    stripe: shade,
    patch: elsewhere,
    scar: elsewhere,
    broad: faint,
}

SOURCES: tuple[Source, ...] = (shade, foreign, shuffled, inverted, grain, cloud, gratings, checker, neutral)
SOURCE_ODDS = (0.33, 0.20, 0.09, 0.07, 0.11, 0.05, 0.04, 0.03, 0.08)
TEXTURED = 0.5  # share of the sources that come from the textures, where there are any


def spoil(
    image: Pixels,
    other: Pixels,
    rng: Rng,
    *,
    foreground: Flags | None = None,
    textures: Sequence[Pixels] = (),
) -> tuple[Pixels, Flags]:
    """The image with one to three defects, and where they are; `other` is another good part.

    Nothing outside the foreground changes; None means that all of the image is foreground. The mask may
    be empty when a defect happens to be invisible or to miss the foreground; callers take it as it is.
    `textures` are pictures of any size with the image's channels.
    """
    spoilt = image
    for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])):
        shape = SHAPES[rng.choice(len(SHAPES), p=SHAPE_ODDS)]
        weights = _place(shape, image.shape, foreground, rng)
        if shape in OWN_SOURCE:
            source = OWN_SOURCE[shape](spoilt, other, rng)
        elif textures and rng.random() < TEXTURED:
            source = texture(textures, image.shape, rng)
        else:
            source = SOURCES[rng.choice(len(SOURCES), p=SOURCE_ODDS)](spoilt, other, rng)
        spoilt = _blend(spoilt, source, weights)
    return spoilt, changed(image, spoilt)


def changed(image: Pixels, spoilt: Pixels) -> Flags:
    """Where pixels moved far enough to count, (H, W)."""
    moved = np.abs(spoilt.astype(np.int16) - image).max(axis=2)
    return np.asarray(moved >= CHANGED_GREY_LEVELS, np.bool_)


def _place(shape: Shape, size: tuple[int, ...], foreground: Flags | None, rng: Rng) -> Weights:
    """The shape, drawn anew a few times when it misses the foreground."""
    height, width = size[:2]
    if foreground is None:
        return shape(height, width, rng)
    weights = np.zeros((height, width), np.float32)
    for _ in range(TRIES if foreground.any() else 0):
        weights = shape(height, width, rng) * foreground
        if weights.any():
            break
    return weights


def _blend(image: Pixels, source: Pixels, weights: Weights) -> Pixels:
    w = weights[..., None]
    return to_pixels(image * (1 - w) + source * w + np.float32(0.5))

"""Synthetic defects: where (masks) and what (sources), always labelled only where pixels changed.

Shapes are of production, not of one product: blobs, cracks, regions cut off by a crack, stripes.
All pictures are uint8 (H, W, C), masks bool (H, W), randomness a numpy Generator.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Flags, Pixels

Rng = np.random.Generator
Weights = npt.NDArray[np.float32]

CHANGED_GREY_LEVELS = 5  # a pixel counts as defective when it moved at least this far


def spoil(image: Pixels, other: Pixels, rng: Rng) -> tuple[Pixels, Flags]:
    """The image with one to three defects, and where they are; `other` is another good part.

    The mask may be empty when a defect happens to be invisible; callers take it as it is.
    """
    spoilt = image
    for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])):
        kind = SHAPES[rng.choice(len(SHAPES), p=SHAPE_ODDS)]
        weights = kind(image.shape[0], image.shape[1], rng)
        source = _shade(spoilt, rng) if kind in LINES else _source(spoilt, other, rng)
        spoilt = _blend(spoilt, source, weights)
    moved = np.abs(spoilt.astype(np.int16) - image).max(axis=2)
    return spoilt, moved >= CHANGED_GREY_LEVELS


def blob(height: int, width: int, rng: Rng) -> Weights:
    """A connected patch of thresholded smooth noise, 1 to 40 % of the side across."""
    side = float(rng.uniform(0.04, 0.4)) * min(height, width)
    noise = _smooth_noise(height, width, scale_px=max(side / 2, 3.0), rng=rng)
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    rows, columns = np.ogrid[:height, :width]
    near = 1.5 - np.hypot(columns - x, rows - y) / side
    return _soften((noise * 0.6 + near > 0.75).astype(np.float32), rng)


def crack(height: int, width: int, rng: Rng) -> Weights:
    """A thin wandering line, often right across the part, sometimes with a branch."""
    canvas = np.zeros((height, width), np.float32)
    path = _wander(height, width, rng)
    thickness = int(rng.choice([1, 1, 1, 2, 2, 3]))
    strength = float(rng.uniform(0.5, 1.0))
    _draw(canvas, path, thickness, strength)
    if rng.random() < 0.4:
        start = path[rng.integers(len(path))]
        _draw(canvas, _wander(height, width, rng, start=start), thickness, strength * 0.8)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.3))), np.float32)


def region(height: int, width: int, rng: Rng) -> Weights:
    """A polygon with one sharp border, as a piece cut off by a crack; often touches the border."""
    corners = _wander(height, width, rng)
    anchor = np.array([[rng.choice([0, width - 1]), rng.uniform(0, height)]])
    polygon = np.concatenate([corners, anchor]).astype(np.int32)
    if rng.random() < 0.5:
        middle = polygon.mean(0)
        polygon = (middle + (polygon - middle) * rng.uniform(0.2, 0.7)).astype(np.int32)
    canvas = np.zeros((height, width), np.float32)
    cv2.fillPoly(canvas, [polygon], 1.0)
    return _soften(canvas, rng)


def stripe(height: int, width: int, rng: Rng) -> Weights:
    """A straight bar along or across, 1 to 12 pixels wide."""
    canvas = np.zeros((height, width), np.float32)
    long_px, wide_px = int(rng.uniform(0.1, 0.6) * height), int(rng.integers(1, 13))
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    if rng.random() < 0.5:
        canvas[y : y + long_px, x : x + wide_px] = 1.0
    else:
        canvas[y : y + wide_px, x : x + long_px] = 1.0
    return _soften(canvas, rng)


SHAPES: tuple[Callable[[int, int, Rng], Weights], ...] = (blob, crack, region, stripe)
SHAPE_ODDS = (0.22, 0.50, 0.20, 0.08)
LINES = (crack, stripe)  # thin ones are shades of what they cross, often faint


def _source(image: Pixels, other: Pixels, rng: Rng) -> Pixels:
    """What the defect is made of: a shade, a foreign part, the part inverted, or noise."""
    pick = rng.random()
    if pick < 0.45:
        return _shade(image, rng)
    if pick < 0.72:
        return np.roll(other, (int(rng.integers(other.shape[0])), int(rng.integers(other.shape[1]))), (0, 1))
    if pick < 0.82:
        return np.ascontiguousarray(255 - image)
    scale = float(rng.choice([2.0, 6.0, 20.0]))
    noise = _smooth_noise(image.shape[0], image.shape[1], scale_px=scale, rng=rng)[..., None]
    return _to_pixels(image.astype(np.float32) + 70 * noise)


def _shade(image: Pixels, rng: Rng) -> Pixels:
    """The part darker, now and then brighter, from barely visible to nearly black."""
    gain = rng.uniform(0.15, 0.92) if rng.random() < 0.85 else rng.uniform(1.08, 1.6)
    return _to_pixels(image.astype(np.float32) * gain)


def _blend(image: Pixels, source: Pixels, weights: Weights) -> Pixels:
    w = weights[..., None]
    return _to_pixels(image * (1 - w) + source * w + 0.5)


def _to_pixels(values: npt.NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _smooth_noise(height: int, width: int, *, scale_px: float, rng: Rng) -> Weights:
    """Noise of unit spread whose features are about `scale_px` wide."""
    rows, columns = max(2, round(height / scale_px) + 1), max(2, round(width / scale_px) + 1)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _wander(
    height: int, width: int, rng: Rng, start: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float64]:
    """Points (n, 2) of a line that keeps its direction with small turns."""
    steps = int(rng.integers(3, 14))
    heading = rng.uniform(0, 2 * np.pi)
    turns = np.cumsum(rng.normal(0, rng.uniform(0.05, 0.35), steps)) + heading
    length = rng.uniform(0.15, 1.3) * max(height, width) / steps
    if start is None:
        start = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    moves = length * np.stack([np.cos(turns), np.sin(turns)], 1)
    return np.concatenate([start[None], start + np.cumsum(moves, 0)])


def _draw(canvas: Weights, points: npt.NDArray[np.float64], thickness: int, strength: float) -> None:
    fixed = np.round(points * 16).astype(np.int32)  # four fractional bits for anti-aliased lines
    grey = np.zeros(canvas.shape, np.uint8)
    cv2.polylines(grey, [fixed], False, 255, thickness, cv2.LINE_AA, shift=4)
    np.maximum(canvas, grey.astype(np.float32) * (strength / 255), out=canvas)


def _soften(mask: Weights, rng: Rng) -> Weights:
    """A softer border and a weaker centre, at random."""
    if rng.random() < 0.7:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 4.0))), np.float32)
    return np.asarray(mask * rng.uniform(0.3, 1.0), np.float32)

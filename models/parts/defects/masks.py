"""Where a synthetic defect is: shapes of production, not of one product.

Each gives opacities (H, W) in 0..1. Perlin masks are those of DRAEM, DiffusionAD and GLAD, `patch` and `scar`
those of CutPaste (arXiv 2104.04015); the others are what breaks, cracks, stains and lamps leave behind.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Weights = npt.NDArray[np.float32]

OCTAVES = 6  # Perlin lattices have 2^0 to 2^5 cells along each axis
ONE_BLOB = 0.7  # share of Perlin masks of which only one connected blob is kept: small defects dominate


def perlin(height: int, width: int, rng: Rng) -> Weights:
    """Thresholded gradient noise at any angle: flecks, smears or one blob of them."""
    rows, columns = (2 ** rng.integers(0, OCTAVES, 2)).tolist()
    noise = gradient_noise(height, width, rows, columns, rng)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-90, 90)), 1.0)
    noise = np.asarray(cv2.warpAffine(noise, turn, (width, height)), np.float32)
    level = rng.uniform(0.3, 0.5)  # GLAD's threshold to DiffusionAD's
    mask = noise > min(level, 0.9 * float(noise.max()))  # coarse lattices often stay below any level
    if rng.random() < ONE_BLOB:
        mask = _one_blob(mask, rng)
    return _soften(mask.astype(np.float32), rng)


def gradient_noise(height: int, width: int, rows: int, columns: int, rng: Rng) -> Weights:
    """Perlin noise of a lattice of rows x columns cells, scaled to about -1..1.

    sqrt(2) sum_ij w(y - i) w(x - j) [(y - i) gy_ij + (x - j) gx_ij] with w(d) = 1 - fade(|d|), which is
    two products of matrices because w is separable.
    """
    angles = rng.uniform(0, 2 * np.pi, (rows + 1, columns + 1)).astype(np.float32)
    down, down_offset = _lattice_weights(height, rows)
    along, along_offset = _lattice_weights(width, columns)
    vertical = down_offset @ np.sin(angles) @ along.T
    horizontal = down @ np.cos(angles) @ along_offset.T
    return np.asarray(math.sqrt(2) * (vertical + horizontal), np.float32)


def blob(height: int, width: int, rng: Rng) -> Weights:
    """A connected patch of thresholded smooth noise, 1 to 40 % of the side across."""
    side = float(rng.uniform(0.04, 0.4)) * min(height, width)
    noise = smooth_noise(height, width, scale_px=max(side / 2, 3.0), rng=rng)
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


def patch(height: int, width: int, rng: Rng) -> Weights:
    """A rectangle with hard sides, 2 to 15 % of the area, three to one at most."""
    area, aspect = rng.uniform(0.02, 0.15) * height * width, 3 ** rng.uniform(-1, 1)
    down, along = max(1, round(math.sqrt(area / aspect))), max(1, round(math.sqrt(area * aspect)))
    top, left = int(rng.integers(1 - down // 2, height)), int(rng.integers(1 - along // 2, width))
    canvas = np.zeros((height, width), np.float32)
    canvas[max(0, top) : top + down, max(0, left) : left + along] = 1.0
    return canvas


def scar(height: int, width: int, rng: Rng) -> Weights:
    """A long thin rectangle at any angle, 4 to 12 % of the side long and an eighth to a half as wide."""
    long_px = max(3.0, rng.uniform(0.04, 0.12) * min(height, width))
    wide_px = max(1.5, long_px * rng.uniform(0.12, 0.5))
    centre = float(rng.uniform(0, width)), float(rng.uniform(0, height))
    box = cv2.boxPoints((centre, (long_px, wide_px), float(rng.uniform(-90, 90))))
    canvas = np.zeros((height, width), np.float32)
    cv2.fillPoly(canvas, [np.round(box).astype(np.int32)], 1.0)
    return canvas


def broad(height: int, width: int, rng: Rng) -> Weights:
    """A soft region of a third of the side to all of it, without any border to see."""
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    reach = rng.uniform(0.15, 0.5, 2) * (width, height)
    rows, columns = np.ogrid[: np.float32(height), : np.float32(width)]
    angle = rng.uniform(0, np.pi)
    across = (columns - x) * math.cos(angle) + (rows - y) * math.sin(angle)
    along = (rows - y) * math.cos(angle) - (columns - x) * math.sin(angle)
    return np.asarray(np.exp(-((across / reach[0]) ** 2) - (along / reach[1]) ** 2), np.float32)


def smooth_noise(height: int, width: int, *, scale_px: float, rng: Rng) -> Weights:
    """Noise of unit spread whose features are about `scale_px` wide."""
    rows, columns = max(2, round(height / scale_px) + 1), max(2, round(width / scale_px) + 1)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _lattice_weights(length: int, cells: int) -> tuple[Weights, Weights]:
    """w(d) and d w(d), (length, cells + 1), for each pixel's distance d to each lattice line, in cells."""
    places = (np.arange(length, dtype=np.float32) + 0.5) * (cells / length)
    d = places[:, None] - np.arange(cells + 1, dtype=np.float32)
    t = np.minimum(np.abs(d), 1)
    weights = 1 - t**3 * (t * (6 * t - 15) + 10)  # the quintic fade
    return weights, d * weights


def _one_blob(mask: npt.NDArray[np.bool_], rng: Rng) -> npt.NDArray[np.bool_]:
    """The blob of a random pixel, so that specks are rare."""
    inside = np.flatnonzero(mask)
    if not len(inside):
        return mask
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return np.asarray(labels == labels.flat[inside[rng.integers(len(inside))]], np.bool_)


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

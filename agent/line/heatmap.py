"""Anomaly evidence laid over a picture, on one scale for every part that is ever judged.

The scale runs from 0 to twice the threshold and never stretches to the picture's own range:
a quiet part looks quiet, and two rejects can be compared by colour.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from agent.messages import Floats, Pixels

# evidence in thresholds, RGB, opacity; straight lines between the rows
SCALE: tuple[tuple[float, tuple[int, int, int], float], ...] = (
    (0.0, (255, 240, 120), 0.0),
    (0.5, (255, 232, 90), 0.0),
    (1.0, (255, 190, 0), 0.45),
    (1.5, (245, 95, 10), 0.62),
    (2.0, (205, 0, 25), 0.72),
)
CONTOUR = (60, 0, 10)


def heatmap(image: Pixels, evidence: Floats, threshold: float) -> Pixels:
    """RGB of `image` in grey under its evidence, with the threshold drawn as a contour.

    `image` is (h, w), (h, w, 1) or (h, w, 3) uint8; `evidence` covers the whole of it at any
    resolution. Evidence that is not a number is shown at full scale: a fault must not look good.
    """
    if not (math.isfinite(threshold) and threshold > 0):
        raise ValueError(f"heat map: threshold {threshold} is not above 0; calibrate the threshold first")
    if evidence.ndim != 2 or evidence.size == 0:
        raise ValueError(f"heat map: evidence has shape {evidence.shape}; it must be (height, width)")
    grey = _grey(image)
    height, width = grey.shape
    level = np.nan_to_num(
        evidence.astype(np.float32) / np.float32(threshold), nan=2.0, posinf=2.0, neginf=0.0
    )
    level = cv2.resize(np.clip(level, 0.0, 2.0), (width, height), interpolation=cv2.INTER_LINEAR)

    colours, opacity = _tables()
    step = np.rint(level * 127.5).astype(np.uint8)  # (H, W), 0..255 over the scale
    under = grey[:, :, None].astype(np.float32)
    share = opacity[step][:, :, None]
    blended = np.rint(under + (colours[step] - under) * share).astype(np.uint8)
    return _with_contour(blended, level >= 1.0)


def _with_contour(picture: Pixels, above: npt.NDArray[np.bool_]) -> Pixels:
    outlines, _ = cv2.findContours(above.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(max(picture.shape) / 1000))
    cv2.drawContours(picture, outlines, -1, CONTOUR, thickness, cv2.LINE_AA)
    return picture


def _tables() -> tuple[Floats, Floats]:
    """Colour (256, 3) and opacity (256,) for evidence of 0 to 2 thresholds."""
    at = np.linspace(0.0, 2.0, 256)
    stops = [stop for stop, _, _ in SCALE]
    channels = [np.interp(at, stops, [colour[channel] for _, colour, _ in SCALE]) for channel in range(3)]
    opacity = np.interp(at, stops, [share for _, _, share in SCALE])
    return np.stack(channels, axis=1).astype(np.float32), opacity.astype(np.float32)


def _grey(image: Pixels) -> Pixels:
    if image.dtype != np.uint8:
        raise ValueError(f"heat map: image is {image.dtype}; it must be uint8")
    if image.ndim == 2:
        return image
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 3:
        grey: Pixels = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
        return grey
    raise ValueError(f"heat map: image has shape {image.shape}; it must be (h, w), (h, w, 1) or (h, w, 3)")

"""Made-up defects on good parts: whether a bundle that was taught another product sees any on this one."""

from __future__ import annotations

import cv2
import numpy as np

from agent.messages import Pixels

LENGTH = 0.15  # of the shorter side
WIDTH = 0.012
DEEP = 0.35  # of the way to black or white


def scratched(image: Pixels, rng: np.random.Generator) -> Pixels:
    """The picture (h, w, C) with a scratch or a spot somewhere inside it; the same for the same numbers."""
    height, width = image.shape[:2]
    side = min(height, width)
    at = rng.uniform(0.2, 0.8, 2) * (width, height)
    angle, length = rng.uniform(0, np.pi), LENGTH * side * rng.uniform(0.6, 1.4)
    half = 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    mask = np.zeros((height, width), np.float32)
    thick = max(1, round(WIDTH * side * rng.uniform(0.7, 1.5)))
    if rng.random() < 0.5:
        cv2.line(mask, _px(at - half), _px(at + half), 1.0, thick, cv2.LINE_AA)
    else:
        cv2.circle(mask, _px(at), max(2, 2 * thick), 1.0, cv2.FILLED, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None] * DEEP
    end = 0.0 if image.mean() > 80 or rng.random() < 0.5 else 255.0
    return np.asarray(np.rint(image * (1 - mask) + end * mask), np.uint8)


def _px(at: np.ndarray) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))

"""A picture that costs nothing until somebody looks at it.

The line hands over arrays by reference and goes on; the first request for the JPEG draws, shrinks
and encodes in the requester's thread, keeps the bytes and lets the arrays go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import cv2

from agent.messages import Pixels

QUALITY = 88


class Picture:
    """One JPEG, made when first asked for."""

    def __init__(self, draw: Callable[[], Pixels]) -> None:
        self._draw: Callable[[], Pixels] | None = draw
        self._jpeg = b""
        self._lock = threading.Lock()

    @property
    def encoded(self) -> bool:
        """Whether anybody has asked yet."""
        return self._draw is None

    def jpeg(self) -> bytes:
        """The JPEG bytes; every call after the first returns the same ones."""
        with self._lock:
            if self._draw is not None:
                self._jpeg = encode_jpeg(self._draw())
                self._draw = None
            return self._jpeg


def shrink(image: Pixels, longest_px: int) -> Pixels:
    """The image with its longer edge at most `longest_px`; a smaller image is returned as it is."""
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return small


def encode_png(image: Pixels) -> bytes:
    """PNG of a mono or RGB uint8 image: every pixel as it is."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 and image.shape[2] == 3 else image
    done, data = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"PNG: an image of shape {image.shape} and type {image.dtype} cannot be encoded")
    return data.tobytes()


def encode_jpeg(image: Pixels) -> bytes:
    """JPEG of a mono or RGB uint8 image."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 and image.shape[2] == 3 else image
    done, data = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"JPEG: an image of shape {image.shape} and type {image.dtype} cannot be encoded")
    return data.tobytes()

"""Frame to tiles: scale, cut with overlap, uint8 N x H x W x C. Training uses this very file."""

from __future__ import annotations

import cv2
import numpy as np

from agent.bundle import InputSpec
from agent.clock import Clock
from agent.errors import PlumblineError
from agent.messages import Frame, Pixels, Prepared
from agent.web import tiles


class PrepareError(PlumblineError):
    """The frame cannot be fed to this model; says what it is and what was wanted."""


def prepare(frame: Frame, spec: InputSpec, clock: Clock) -> Prepared:
    """Everything that happens to pixels before the engine. Raises PrepareError."""
    picture = scaled(with_channels(frame.image, spec.channels), spec)
    cut, origins = cut_tiles(picture, spec)
    return Prepared(
        tiles=cut,
        origins=origins,
        shape=(picture.shape[0], picture.shape[1]),
        scale=spec.scale,
        prepared_ns=clock.monotonic_ns(),
    )


def with_channels(image: Pixels, channels: int) -> Pixels:
    """Mono shown as RGB, or RGB as mono; raises PrepareError for anything that is not a picture."""
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise PrepareError(
            f"frame of shape {image.shape} and type {image.dtype}: wanted uint8 (lines, width, 1 or 3)"
        )
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], np.uint8)


def scaled(image: Pixels, spec: InputSpec) -> Pixels:
    """The picture at the model's scale: area averages when it shrinks, bilinear when it grows."""
    if spec.scale == 1.0:
        return image
    height, width = (max(1, round(side * spec.scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if spec.scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=method)
    return np.asarray(resized.reshape(height, width, image.shape[2]), np.uint8)


def cut_tiles(image: Pixels, spec: InputSpec) -> tuple[Pixels, tuple[tuple[int, int], ...]]:
    """Tiles (N, tile, tile, C) that cover the picture, and the x, y of each."""
    origins = tiles.plan(image.shape[0], image.shape[1], spec.tile_px, spec.overlap_px)
    return tiles.cut(image, origins, spec.tile_px), origins

"""Small pictures of then and now, side by side: pure."""

from __future__ import annotations

import cv2
import numpy as np

from agent.messages import Pixels

SIDE_PX = 320
GAP_PX = 8
MAX_PNG_BYTES = 4_000_000


class NoPicture(ValueError):
    """Bytes that are no picture of ours."""


def small(picture: Pixels) -> Pixels:
    """At most SIDE_PX along each side, in an array of its own."""
    lines, width = picture.shape[:2]
    share = min(1.0, SIDE_PX / max(lines, width))
    size = max(1, round(width * share)), max(1, round(lines * share))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.array(resized, np.uint8).reshape(size[1], size[0], -1)


def beside(now: Pixels, then: Pixels) -> Pixels:
    """RGB: now at the left, then at the right."""
    lines = max(len(now), len(then))
    canvas = np.full((lines, now.shape[1] + GAP_PX + then.shape[1], 3), 255, np.uint8)
    canvas[: len(now), : now.shape[1]] = now
    canvas[: len(then), now.shape[1] + GAP_PX :] = then
    return canvas


def to_png(picture: Pixels) -> bytes:
    """Of grey or RGB pixels."""
    ordered = picture if picture.shape[2] == 1 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", ordered)[1])


def of_png(data: bytes) -> Pixels:
    """Grey or RGB pixels. Raises NoPicture."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if found is None or found.dtype != np.uint8 or max(found.shape[:2]) > SIDE_PX:
        raise NoPicture("it is no small picture")
    if found.ndim == 2:
        return np.asarray(found[..., None], np.uint8)
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)

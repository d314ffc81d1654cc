"""Defect crops: cut from the original pixels, encoded until they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from agent.messages import Box, Defect, Pixels
from agent.settings import settings

QUALITIES = (92, 80, 65, 50, 35)
SAMPLE_MARGIN_PX = 32
SHRINK = 0.7  # of each side, when the lowest quality is still too large


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """One encoded picture of one defect."""

    crop_id: str
    defect_index: int
    bbox_px: Box  # of the cut, in frame pixels
    image: bytes
    content_type: str
    sha256: str
    encodings: int = 1  # until it was small enough


def cut_crops(
    image: Pixels, defects: tuple[Defect, ...], wanted: settings.Crops, new_id: Callable[[], str]
) -> list[Crop]:
    """The strongest defects, with a margin, each at most `max_bytes` large."""
    return [
        _cut(image, defect.bbox_px, index, wanted, new_id())
        for index, defect in enumerate(defects[: wanted.max_per_verdict])
    ]


def cut_sample(
    image: Pixels, peak_px: tuple[int, int], wanted: settings.Crops, new_id: Callable[[], str]
) -> Crop:
    """The surroundings of the strongest spot of a part that passed."""
    side = 2 * max(wanted.margin_px, SAMPLE_MARGIN_PX)
    box = peak_px[0] - side // 2, peak_px[1] - side // 2, side, side
    return _cut(image, box, 0, wanted.model_copy(update={"margin_px": 0}), new_id())


def _cut(image: Pixels, bbox_px: Box, index: int, wanted: settings.Crops, crop_id: str) -> Crop:
    box = with_margin(bbox_px, wanted.margin_px, (image.shape[0], image.shape[1]))
    x, y, width, height = box
    data, encodings = encode(image[y : y + height, x : x + width], wanted)
    return Crop(
        crop_id=crop_id,
        defect_index=index,
        bbox_px=box,
        image=data,
        content_type=f"image/{wanted.format}",
        sha256=hashlib.sha256(data).hexdigest(),
        encodings=encodings,
    )


def with_margin(box: Box, margin_px: int, shape: tuple[int, int]) -> Box:
    """The box grown on every side, inside a frame of `shape` (lines, width)."""
    x, y, width, height = box
    left, top = max(0, x - margin_px), max(0, y - margin_px)
    right, bottom = min(shape[1], x + width + margin_px), min(shape[0], y + height + margin_px)
    return left, top, right - left, bottom - top


def encode(cut: Pixels, wanted: settings.Crops) -> tuple[bytes, int]:
    """JPEG or PNG within `max_bytes`: first at lower quality, then smaller; and how often it was encoded."""
    tries = 0
    picture = np.ascontiguousarray(cut[..., ::-1])  # OpenCV writes BGR; mono is its own reverse
    while True:
        for quality in QUALITIES if wanted.format == "jpeg" else (0,):
            options = [cv2.IMWRITE_JPEG_QUALITY, quality] if wanted.format == "jpeg" else []
            suffix = ".jpg" if wanted.format == "jpeg" else ".png"
            tries += 1
            done, data = cv2.imencode(suffix, picture, options)
            if done and len(data) <= wanted.max_bytes:  # not done: JPEG ends at 65500 pixels a side
                return data.tobytes(), tries
        smaller = max(1, round(picture.shape[1] * SHRINK)), max(1, round(picture.shape[0] * SHRINK))
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), np.uint8)
